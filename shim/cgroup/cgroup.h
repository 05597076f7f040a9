// A container's control group: one directory in each hierarchy of the host, held by descriptors.
//
// Invariant: every call acts on the directories that were made or opened, whatever their names
// point to later. Control files answer at once, so nothing here blocks but Remove's and Signal's
// walks over nested groups. Thread-compatible. Owned by the container that lives in it.
#ifndef BERTH_SHIM_CGROUP_CGROUP_H_
#define BERTH_SHIM_CGROUP_CGROUP_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "shim/cgroup/hierarchy.h"
#include "shim/spec/resources.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class CgroupState;
}  // namespace berth::shim::v1

namespace berth::cgroup {

struct Directory {
  std::string path;
  UniqueFd fd;
  bool unified = false;
  std::vector<std::string> controllers;  // v1 only

  bool Has(absl::string_view controller) const;
};

enum class FreezerState { kThawed, kFreezing, kFrozen };

class Cgroup {
 public:
  Cgroup() = default;
  Cgroup(Cgroup&&) noexcept = default;
  Cgroup& operator=(Cgroup&&) noexcept = default;

  // Makes the directories and their parents, with cpuset filled in and v2 controllers enabled.
  // Errors: with kRefuse, FAILED_PRECONDITION when the group exists and holds processes or is
  // frozen. After an error nothing that was made is left. With kSkip, a hierarchy in which the
  // caller may make none is left out.
  enum class Occupied { kRefuse, kAccept };
  enum class Denied { kFail, kSkip };
  static absl::StatusOr<Cgroup> Create(const std::vector<Hierarchy>& hierarchies,
                                       absl::string_view cgroups_path, absl::string_view id,
                                       Occupied occupied = Occupied::kRefuse,
                                       Denied denied = Denied::kFail);
  // Opens those of `paths` that still exist.
  static Cgroup Open(const std::vector<std::string>& paths);

  // For the program that this one becomes, and in it: the same directories.
  void Save(handover::Packer& packer, berth::shim::v1::CgroupState& state) const;
  static absl::StatusOr<Cgroup> Resume(const berth::shim::v1::CgroupState& state,
                                       handover::Unpacker& unpacker);

  bool empty() const { return directories_.empty(); }
  const std::vector<Directory>& directories() const { return directories_; }
  // The directories' absolute paths, in order.
  const std::vector<std::string>& paths() const { return paths_; }
  // The v2 directory, for CLONE_INTO_CGROUP; invalid on pure v1.
  BorrowedFd unified() const;
  // The directory with v1 `controller`, or null.
  const Directory* FindController(absl::string_view controller) const;

  // Those of `more` too, which Create made of other hierarchies.
  void Append(Cgroup more);

  // How a process gets into the v1 directories by itself, which is much cheaper than AddProcess
  // (shim/init/cgroup_join.h): their files `tasks`, open for writing, each of which takes a "0".
  absl::StatusOr<std::vector<UniqueFd>> OpenJoinFiles() const;

  // Moves `pid` into the group, or into one below it: "path" in all hierarchies, "memory,cpu:path"
  // in those of the controllers. Errors: INVALID_ARGUMENT for a controller that has none. With
  // kUnified, into the v2 directory only.
  enum class Placement { kEverywhere, kUnified };
  absl::Status AddProcess(pid_t pid, Placement placement,
                          const std::vector<std::string>& subpaths = {}) const;

  // Makes `uid` the owner of the v2 directory and of those files in it that the kernel names for
  // that. v1 groups are never given away.
  absl::Status Delegate(uid_t uid) const;

  // Errors: as the kernel says, naming file and value; UNIMPLEMENTED where no controller can do it.
  absl::Status Apply(const spec::Resources& resources) const;

  // Every process in the group and below.
  absl::StatusOr<std::vector<pid_t>> Pids() const;
  // SIGKILL to all is one write on v2; else the group is frozen while it is walked.
  absl::Status SignalAll(int signal) const;

  absl::Status SetFrozen(FreezerState wanted) const;
  absl::StatusOr<FreezerState> Frozen() const;

  // rmdir of all directories and what is below them. Errors: FAILED_PRECONDITION while processes
  // are left (also while they are still exiting), or while systemd has yet to remove a scope of its
  // own: call again.
  absl::Status Remove();

 private:
  bool IsSystemdsToRemove(const Directory& directory);

  std::vector<Directory> directories_;
  std::vector<std::string> paths_;
  int left_to_systemd_ = 0;  // rounds of Remove that did not end it
};

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_CGROUP_H_
