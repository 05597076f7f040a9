// One container of the native runtime, from its bundle to its removal: the facade that the shim's
// service and the runc-style command line build on.
//
// Invariant: nothing here blocks on a foreign filesystem, a hook or a FIFO: children do, and are
// watched through a socket, a pidfd and a deadline. A create that fails or is cancelled leaves no
// process, mount, cgroup or namespace. `done` functions are called exactly once, from the loop and
// never from inside the call that took them. Destroying a Container drops pending `done`s and ends
// helpers it started; it neither kills the container nor removes its cgroup (Cleanup does).
// Loop-only. Owned by shim/service or shim/oci; the Loop must outlive it.
#ifndef BERTH_SHIM_LAUNCH_CONTAINER_H_
#define BERTH_SHIM_LAUNCH_CONTAINER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/launch/any_container.h"
#include "shim/launch/authority.h"
#include "shim/rootfs/rootfs_mount.h"

namespace berth::shim::v1 {
class NativeContainer;
}  // namespace berth::shim::v1

namespace berth::launch {

// A mount of the root filesystem as a snapshotter describes it: type, source, target (relative to
// the root, empty as a rule), options.
using RootfsMount = rootfs::RootfsMount;

// The process's own ends. An invalid descriptor means /dev/null. Ignored with a terminal.
struct Stdio {
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

enum class CgroupDriver { kCgroupfs, kSystemd };
enum class RootSwitch { kPivotRoot, kMoveMount };  // kMoveMount: runc's --no-pivot
enum class Keyring { kNew, kInherit };
// What a seccomp or OOM-score wish gets that this host refuses for lack of CAP_SYS_RESOURCE.
enum class OomScorePolicy { kClamp, kStrict };
// What happens where the caller may not make the container's cgroup: without limits and a path of
// its own, a container can do without one.
enum class CgroupDenied { kFail, kGoWithout };

struct CreateOptions {
  std::string namespace_name;  // containerd's, for messages only; may be empty
  std::string id;
  std::string bundle;                      // absolute path of the directory with config.json
  std::vector<RootfsMount> rootfs_mounts;  // empty: root.path is already there
  Stdio stdio;
  // Whether there is a terminal is process.terminal in config.json, and TakeConsole gives it.
  RootSwitch root_switch = RootSwitch::kPivotRoot;
  Authority authority = Authority::kHost;
  CgroupDriver cgroup_driver = CgroupDriver::kCgroupfs;
  CgroupDenied cgroup_denied = CgroupDenied::kFail;
  Keyring keyring = Keyring::kNew;
  OomScorePolicy oom_score_policy = OomScorePolicy::kClamp;
  std::string seccomp_cache_directory;  // mode 0700; empty: compile every time
  // Told the cgroup directories that are about to be made, so that a caller who is killed leaves
  // word of them. An error ends the creation. May be called again, with more.
  absl::AnyInvocable<absl::Status(const std::vector<std::string>&)> on_cgroup;
  // Descriptors that the process gets as 3, 4, ...: runc's --preserve-fds.
  std::vector<UniqueFd> preserved_fds;
  std::vector<std::string> environment;  // "NAME=value", behind the specification's
  // Of an earlier generation; joined in the place of a new network namespace. Empty: none.
  std::string network_namespace;
  // A listening SOCK_SEQPACKET socket. When valid, init waits there for the process that starts it
  // (StartDetached), so that the creating process may end after LetGo; Start is then not available.
  UniqueFd start_listener;
  absl::Duration timeout = absl::Minutes(2);  // of set-up without hooks (they have their own)
};

struct ExecOptions {
  std::string exec_id;       // for messages only
  std::string process_json;  // an OCI Process object
  Stdio stdio;               // ignored when process.terminal is true
  std::vector<UniqueFd> preserved_fds;
  // "path" below the container's own cgroup, or "memory,cpu:path" of single v1 hierarchies.
  std::vector<std::string> cgroup_subpaths;
};

struct ExecProcess {
  pid_t pid = -1;    // in the caller's pid namespace
  UniqueFd pidfd;    // the process is a child of the caller, who reaps it (waitid P_PIDFD)
  UniqueFd console;  // the pty's master, or invalid
};

// What must be known to remove what a lost shim left. Everything is optional but the bundle.
struct CleanupRecord {
  std::string bundle;
  std::string id;  // for hooks; empty: the bundle's own name
  pid_t init_pid = -1;
  uint64_t init_start_time_ticks = 0;  // field 22 of /proc/<pid>/stat; a differing one is not ours
  std::vector<std::string> cgroup_paths;  // as cgroup_paths() gave them
  bool has_no_cgroup = false;  // known to have none: without paths, they are looked for otherwise
};

// Serialized io.containerd.cgroups.v1.Metrics or .v2.Metrics.
struct StatsAny {
  std::string type_url;
  std::string value;
};

// Where the time of a create, start or exec went: one line for the debug log.
struct StepTime {
  const char* step;
  int64_t nanoseconds;
};

class Container final : public AnyContainer {
 public:
  explicit Container(Loop& loop);
  ~Container() override;
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  // Reads <bundle>/config.json, makes cgroup, namespaces and rootfs, runs prestart, createRuntime
  // and createContainer hooks and stops before the program: `done(OK)` is OCI's "created". Errors:
  // INVALID_ARGUMENT with the JSON path for a bad spec, UNIMPLEMENTED for what the kernel lacks,
  // DEADLINE_EXCEEDED, CANCELLED, else as errno says. After an error there is nothing to clean up.
  void Create(CreateOptions options, Done done) override;
  // Aborts a Create in progress, whose `done` gets CANCELLED once all is undone. Else no effect.
  void Cancel() override;

  // With a start_listener: from now on init lives on without this process. One that dies before
  // this call takes its init with it.
  absl::Status LetGo();

  // Runs the startContainer hooks, the program, then the poststart hooks. Errors:
  // FAILED_PRECONDITION when not created; NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT saying why
  // the program cannot run. The process then ends and is reaped by the caller as after any exit.
  void Start(Done done) override;
  // Starts a further process in the container. Errors: FAILED_PRECONDITION when init has ended.
  void Exec(ExecOptions options, ExecDone done) override;

  // Valid from `done(OK)` of Create. init is a child of this process; the caller reaps it.
  pid_t init_pid() const override;
  BorrowedFd init_pidfd() const override;
  uint64_t init_start_time_ticks() const override;
  bool terminal() const;
  // Of the specification: what a record of the container shows.
  const std::string& oci_version() const;
  const std::string& annotations_json() const;
  const std::string& root_path() const;  // absolute
  // The master of init's terminal, once; invalid when there is none.
  UniqueFd TakeConsole() override;
  // Absolute directories, one per hierarchy; for the journal and CleanupFromRecord.
  const std::vector<std::string>& cgroup_paths() const override;
  // The timings of the last create, start or exec.
  const std::vector<StepTime>& latency() const override;
  // Things that were ignored on purpose (a clamped oom_score_adj, a failing poststop hook), each a
  // line for the log. Emptied by the call.
  std::vector<std::string> TakeWarnings() override;

  // Signals init by pidfd, or every process of the cgroup. Errors: NOT_FOUND "process already
  // finished".
  absl::Status Kill(int signal, KillScope scope) override;
  void Pause(Done done) override;
  void Resume(Done done) override;
  // `resources_json`: an OCI LinuxResources object.
  absl::Status Update(absl::string_view resources_json) override;
  absl::StatusOr<StatsAny> Stats() const override;
  // Every process of the container as seen from here.
  absl::StatusOr<std::vector<pid_t>> Pids() const override;
  // Calls `on_oom` for each OOM kill in the container's cgroup from now on, until Cleanup.
  absl::Status WatchOom(absl::AnyInvocable<void()> on_oom) override;

  void InitEnded() override;

  // Kills what is left, removes the cgroup, drops the rootfs in a short-lived child, runs poststop
  // hooks. Idempotent: a second call after an error resumes. Init should have been reaped (if it
  // has not, it is killed and left for the caller to reap).
  void Cleanup(Done done) override;

  absl::Status Save(handover::Packer& packer, berth::shim::v1::TaskState& state) const override;
  // What Save packed, in the program that took over. WatchOom then goes on with what was watched.
  static absl::StatusOr<std::unique_ptr<Container>> Resume(
      Loop& loop, const berth::shim::v1::NativeContainer& state, handover::Unpacker& unpacker);

  // Starts a container that another process created with a start_listener bound at `socket_path`,
  // and runs its poststart hooks. Blocks while hooks run. Errors: as Start.
  static absl::Status StartDetached(const CleanupRecord& record, const std::string& socket_path);
  // A Container for one that another process created: Exec, Kill, Pause, Resume, Update, Stats and
  // Pids work on it. `init_start_time_ticks` guards against a reused pid. Errors: NOT_FOUND when
  // init ended.
  static absl::StatusOr<std::unique_ptr<Container>> Attach(
      Loop& loop, const CleanupRecord& record, const std::string& seccomp_cache_directory);

  // The same for a container whose shim is gone. Blocks, at most `timeout`.
  static absl::Status CleanupFromRecord(const CleanupRecord& record, absl::Duration timeout);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_CONTAINER_H_
