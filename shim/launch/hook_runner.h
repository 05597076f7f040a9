// Hooks that run in the runtime's own namespaces: prestart, createRuntime, poststart, poststop.
//
// One after the other, each with the container's state on its standard input and its own time
// limit; nothing waits on the loop. Loop-only. Owned by the container; destroying it kills the hook
// that runs.
#ifndef BERTH_SHIM_LAUNCH_HOOK_RUNNER_H_
#define BERTH_SHIM_LAUNCH_HOOK_RUNNER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/spawn.h"
#include "base/os/unique_fd.h"
#include "shim/spec/launch_plan.h"

namespace berth::launch {

// kStop: the first failure ends the run. kContinue: failures become warnings.
enum class OnHookFailure { kStop, kContinue };

class HookRunner {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  explicit HookRunner(Loop& loop) : loop_(loop) {}
  ~HookRunner();

  // `kind` is the list's name, for messages. `working_directory`: the bundle. `done` may be called
  // from inside this call. Errors: FAILED_PRECONDITION with the hook, how it ended and what it
  // wrote to its standard error; DEADLINE_EXCEEDED.
  void Run(const char* kind, std::vector<spec::Hook> hooks, std::string state_json,
           std::string working_directory, OnHookFailure policy, Done done);

  // Kills the hook that runs, if any, and forgets the rest; `done` is not called.
  void Abort();

  std::vector<std::string> TakeWarnings() { return std::move(warnings_); }

 private:
  void Next();
  absl::Status StartHook(const spec::Hook& hook);
  void OnEnded();
  void Finish(absl::Status status);
  std::string Describe() const;

  Loop& loop_;
  const char* kind_ = "";
  std::vector<spec::Hook> hooks_;
  size_t index_ = 0;
  std::string state_json_;
  std::string working_directory_;
  OnHookFailure policy_ = OnHookFailure::kStop;
  Done done_;
  ChildProcess child_;
  FdWatch child_watch_;
  UniqueFd errors_;
  TimerId timer_ = TimerId::kNone;
  bool timed_out_ = false;
  std::vector<std::string> warnings_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_HOOK_RUNNER_H_
