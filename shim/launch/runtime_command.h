// One run of another OCI runtime's command line, watched on the loop.
//
// Its messages go to a log file in JSON, from which an error gets its text. Invariant: the process
// has ended and is reaped when `done` runs; destroying the object kills it. `done` is called once,
// from the loop. Loop-only. Owned by ForeignContainer.
#ifndef BERTH_SHIM_LAUNCH_RUNTIME_COMMAND_H_
#define BERTH_SHIM_LAUNCH_RUNTIME_COMMAND_H_

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/spawn.h"

namespace berth::launch {

struct ForeignRuntime {
  std::string binary;  // a path, or a name that is looked for in PATH
  std::string root;    // --root
  bool systemd_cgroup = false;
};

struct RuntimeInvocation {
  std::vector<std::string> arguments;  // the command and what follows it
  std::vector<std::pair<int, int>> descriptors;
  std::string log;  // path of a file of its own
  std::string working_directory;
  absl::Duration timeout = absl::Minutes(2);
};

class RuntimeCommand {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // Errors: NOT_FOUND for a runtime that is not there.
  static absl::StatusOr<std::unique_ptr<RuntimeCommand>> Start(Loop& loop,
                                                               const ForeignRuntime& runtime,
                                                               const RuntimeInvocation& invocation,
                                                               Done done);
  ~RuntimeCommand();
  void Kill() { child_.Signal(SIGKILL).IgnoreError(); }
  pid_t pid() const { return child_.pid(); }

  // The same without a loop. Blocks, at most the invocation's timeout.
  static absl::Status Run(const ForeignRuntime& runtime, const RuntimeInvocation& invocation);

 private:
  RuntimeCommand(Loop& loop, std::string what, std::string log, Done done)
      : loop_(loop), what_(std::move(what)), log_(std::move(log)), done_(std::move(done)) {}
  void OnEnded();

  Loop& loop_;
  const std::string what_;
  const std::string log_;
  Done done_;
  ChildProcess child_;
  FdWatch watch_;
  TimerId timer_ = TimerId::kNone;
  bool timed_out_ = false;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_RUNTIME_COMMAND_H_
