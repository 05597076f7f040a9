// What a task needs of its container, whichever runtime made it: this program's own (container.h)
// or another one, driven by its command line (foreign_container.h).
//
// The members' contracts are those of Container's of the same names. Loop-only.
#ifndef BERTH_SHIM_LAUNCH_ANY_CONTAINER_H_
#define BERTH_SHIM_LAUNCH_ANY_CONTAINER_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class TaskState;
}  // namespace berth::shim::v1

namespace berth::launch {

struct CreateOptions;
struct ExecOptions;
struct ExecProcess;
struct StatsAny;
struct StepTime;
enum class KillScope { kInit, kAll };

class AnyContainer {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  using ExecDone = absl::AnyInvocable<void(absl::StatusOr<ExecProcess>)>;

  virtual ~AnyContainer() = default;
  virtual void Create(CreateOptions options, Done done) = 0;
  virtual void Cancel() = 0;
  virtual void Start(Done done) = 0;
  virtual void Exec(ExecOptions options, ExecDone done) = 0;
  virtual pid_t init_pid() const = 0;
  virtual BorrowedFd init_pidfd() const = 0;
  virtual uint64_t init_start_time_ticks() const = 0;
  virtual UniqueFd TakeConsole() = 0;
  virtual const std::vector<std::string>& cgroup_paths() const = 0;
  virtual const std::vector<StepTime>& latency() const = 0;
  virtual std::vector<std::string> TakeWarnings() = 0;
  virtual absl::Status Kill(int signal, KillScope scope) = 0;
  virtual void Pause(Done done) = 0;
  virtual void Resume(Done done) = 0;
  virtual absl::Status Update(absl::string_view resources_json) = 0;
  virtual absl::StatusOr<StatsAny> Stats() const = 0;
  virtual absl::StatusOr<std::vector<pid_t>> Pids() const = 0;
  virtual absl::Status WatchOom(absl::AnyInvocable<void()> on_oom) = 0;
  // Whoever reaps init says that it has: what only a living container needs may go.
  virtual void InitEnded() {}
  virtual void Cleanup(Done done) = 0;
  // For the program that this one becomes: puts what there is of the container into `state`, while
  // none of the verbs above runs. Errors: UNAVAILABLE while one does.
  virtual absl::Status Save(handover::Packer& packer, berth::shim::v1::TaskState& state) const = 0;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_ANY_CONTAINER_H_
