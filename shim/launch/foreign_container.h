// A container of another OCI runtime (crun, runsc, runc by another name), driven by its command
// line: a BinaryName that does not mean this program's own runtime.
//
// The runtime's processes come and go; the container's init and execs become children of this
// process, which is a subreaper for that, so that their ends are seen by pidfd as those of our own
// containers are. The root filesystem is mounted on the host, where such a runtime looks for it,
// and unmounted by Cleanup. What a lost shim leaves is found by a file in the bundle
// (CleanupForeign).
//
// Invariant: `done` functions are called exactly once, from the loop; mounts and commands run in
// children with a deadline. Update alone waits for its command. Loop-only. Owned by
// shim/service.
#ifndef BERTH_SHIM_LAUNCH_FOREIGN_CONTAINER_H_
#define BERTH_SHIM_LAUNCH_FOREIGN_CONTAINER_H_

#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "shim/cgroup/cgroup.h"
#include "shim/cgroup/oom_source.h"
#include "shim/launch/any_container.h"
#include "shim/launch/container.h"
#include "shim/launch/runtime_command.h"
#include "shim/launch/status_child.h"

namespace berth::shim::v1 {
class ForeignContainerState;
}  // namespace berth::shim::v1

namespace berth::launch {

// Where runtimes keep their records unless the client says: below the state that holds `bundle`.
std::string DefaultForeignRoot(const std::string& bundle);

// What the journal cannot say of such a container: removes it, unmounts its root. Nothing where the
// bundle has none. Blocks, at most `timeout` for each step.
absl::Status CleanupForeign(const std::string& bundle, absl::Duration timeout);

class ForeignContainer final : public AnyContainer {
 public:
  ForeignContainer(Loop& loop, ForeignRuntime runtime);
  ~ForeignContainer() override;

  void Create(CreateOptions options, Done done) override;
  void Cancel() override;
  void Start(Done done) override;
  void Exec(ExecOptions options, ExecDone done) override;
  pid_t init_pid() const override { return init_pid_; }
  BorrowedFd init_pidfd() const override { return init_pidfd_; }
  uint64_t init_start_time_ticks() const override { return init_start_time_ticks_; }
  UniqueFd TakeConsole() override { return std::move(console_); }
  const std::vector<std::string>& cgroup_paths() const override { return cgroup_.paths(); }
  const std::vector<StepTime>& latency() const override { return latency_; }
  std::vector<std::string> TakeWarnings() override { return std::exchange(warnings_, {}); }
  absl::Status Kill(int signal, KillScope scope) override;
  void Pause(Done done) override;
  void Resume(Done done) override;
  absl::Status Update(absl::string_view resources_json) override;
  absl::StatusOr<StatsAny> Stats() const override;
  absl::StatusOr<std::vector<pid_t>> Pids() const override;
  absl::Status WatchOom(absl::AnyInvocable<void()> on_oom) override;
  void Cleanup(Done done) override;
  absl::Status Save(handover::Packer& packer, berth::shim::v1::TaskState& state) const override;
  // What Save packed, in the program that took over. WatchOom then goes on with what was watched.
  static absl::StatusOr<std::unique_ptr<ForeignContainer>> Resume(
      Loop& loop, const berth::shim::v1::ForeignContainerState& state,
      handover::Unpacker& unpacker);

 private:
  struct Console;   // a socket on which the runtime sends a terminal
  struct Running {  // one command, and what must live as long
    std::unique_ptr<RuntimeCommand> command;
    std::shared_ptr<Console> console;
    Stdio stdio;
  };

  enum class Document { kConfig, kProcess };
  absl::StatusOr<bool> WantsTerminal(const std::string& json, Document which) const;
  void RunCreate();
  void Created(absl::Status status, Console* console);
  absl::Status TakeInit(Console* console);
  void FailCreate(absl::Status reason);
  void ExecEnded(const std::string& files, Console* console, absl::Status status, ExecDone done);
  // Runs a command; what fails before it starts is told by `done` as well.
  void Command(RuntimeInvocation invocation, Stdio stdio, std::shared_ptr<Console> console,
               Done done);
  void Simple(std::vector<std::string> arguments, Done done);
  std::string File(absl::string_view name) const;
  void ReapStrangers();
  void RemoveRest(Done done);

  Loop& loop_;
  const ForeignRuntime runtime_;
  std::string id_;
  std::string bundle_;
  std::string rootfs_;
  std::vector<std::string> create_flags_;
  Stdio create_stdio_;
  bool mounted_ = false;
  bool made_ = false;  // the runtime has a record of it
  Done create_done_;
  RuntimeCommand* creating_ = nullptr;  // one of running_
  bool cancelled_ = false;
  pid_t init_pid_ = -1;
  UniqueFd init_pidfd_;
  uint64_t init_start_time_ticks_ = 0;
  UniqueFd console_;
  cgroup::Cgroup cgroup_;
  std::vector<StepTime> latency_;
  std::vector<std::string> warnings_;
  std::list<Running> running_;
  std::set<pid_t> known_;  // children that somebody waits for
  std::unique_ptr<StatusChild> mounter_;
  uint64_t next_file_ = 1;
  std::optional<cgroup::OomSource> oom_;
  FdWatch oom_watch_;
  absl::AnyInvocable<void()> on_oom_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is posted holds it weakly
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_FOREIGN_CONTAINER_H_
