// What one command of the runtime remembers for the next: <root>/<id>/state.json.
//
// Invariant: the file is replaced atomically, carries a version, and names init by pid and start
// time; the directory's exclusive creation is what makes an id unique.
// docs/formats/runtime-state.md has its members. Thread-compatible. Owned by each command.
#ifndef BERTH_SHIM_OCI_STATE_STORE_H_
#define BERTH_SHIM_OCI_STATE_STORE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace berth::oci {

struct ContainerRecord {
  std::string id;
  std::string bundle;
  std::string rootfs;
  std::string oci_version;
  std::string created;  // RFC 3339
  std::string annotations_json;
  pid_t init_pid = -1;
  uint64_t init_start_time_ticks = 0;
  std::vector<std::string> cgroup_paths;
  uid_t owner = 0;  // of the state file; not in it
};

// OCI's states, and runc's "paused".
enum class RuntimeState { kCreating, kCreated, kRunning, kPaused, kStopped };
const char* RuntimeStateName(RuntimeState state);

class StateStore {
 public:
  explicit StateStore(std::string root) : root_(std::move(root)) {}

  // Makes the container's directory, which says from the start where the bundle is. Errors:
  // ALREADY_EXISTS; INVALID_ARGUMENT for an id that is no name.
  absl::Status Reserve(const std::string& id, const std::string& bundle) const;
  // The bundle of a container that is being made, or whose making was cut short. Errors: NOT_FOUND.
  absl::StatusOr<std::string> ReservedBundle(const std::string& id) const;
  absl::Status Save(const ContainerRecord& record) const;
  // Errors: NOT_FOUND "container does not exist".
  absl::StatusOr<ContainerRecord> Load(const std::string& id) const;
  absl::Status Remove(const std::string& id) const;
  absl::StatusOr<std::vector<std::string>> List() const;

  // Where init of `id` waits to be started; gone once it was.
  std::string StartSocket(const std::string& id) const;
  std::string SeccompCache() const { return root_ + "/.seccomp"; }
  RuntimeState StateOf(const ContainerRecord& record) const;

 private:
  std::string Directory(const std::string& id) const { return root_ + "/" + id; }
  const std::string root_;
};

}  // namespace berth::oci

#endif  // BERTH_SHIM_OCI_STATE_STORE_H_
