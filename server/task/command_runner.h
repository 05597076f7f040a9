// Runs short commands of shims (`start`, `delete`) and collects what they print, holding no thread
// while they run.
//
// Invariant: at most `parallel` commands run and at most `waiting` wait; each ends by itself or is
// killed at its deadline; `done` runs exactly once, from the loop and never from inside Run.
// Loop-only, but for the spawning, which goes to the executor. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_COMMAND_RUNNER_H_
#define BERTH_SERVER_TASK_COMMAND_RUNNER_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/loop/loop.h"
#include "base/os/spawn.h"

namespace berth {

struct CommandResult {
  ExitState exit;
  std::string output;  // up to kMaxOutputBytes of stdout
  std::string errors;  // likewise of stderr
};

class CommandRunner {
 public:
  static constexpr size_t kMaxOutputBytes = 1u << 20;
  using Done = absl::AnyInvocable<void(absl::StatusOr<CommandResult>)>;
  struct Limits {
    size_t parallel = 8;
    size_t waiting = 65536;
  };

  CommandRunner(Loop& loop, Executor& executor, Limits limits);
  ~CommandRunner();

  // `command` must not list descriptors 0 to 2: stdin reads `input`, which is at most 32 KiB.
  // Errors: as Spawn; DEADLINE_EXCEEDED after the command was killed; RESOURCE_EXHAUSTED.
  void Run(SpawnOptions command, std::string input, absl::Duration timeout, Done done);

 private:
  class Running;
  struct Waiting {
    SpawnOptions command;
    std::string input;
    absl::Duration timeout;
    Done done;
  };
  void StartNext();

  Loop& loop_;
  Executor& executor_;
  const Limits limits_;
  std::deque<Waiting> waiting_;
  absl::flat_hash_set<std::shared_ptr<Running>> running_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_COMMAND_RUNNER_H_
