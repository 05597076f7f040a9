// One process of a task as its clients see it: init, or an exec.
//
// Invariant: status and time of exit are set exactly when the state is kStopped or kDeleting (a
// never started exec that is being deleted has zeros). Pure values, thread-compatible. Owned by a
// Task.
#ifndef BERTH_SHIM_TASK_PROCESS_H_
#define BERTH_SHIM_TASK_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::task {

enum class State : uint8_t {
  kAdded,     // exec only: known, and not started
  kCreating,  // init only: Create runs
  kCreated,   // init only: waits for Start
  kStarting,
  kRunning,
  kPausing,  // init only, as the next two
  kPaused,
  kResuming,
  kStopped,
  kDeleting,
};

// A word for messages.
absl::string_view StateName(State state);

// Where a client wants the standard streams, in the words of its request.
struct Stdio {
  std::string in;
  std::string out;
  std::string err;
  bool terminal = false;
};

struct Process {
  std::string exec_id;  // empty for init
  Stdio stdio = {};
  State state = State::kAdded;
  pid_t pid = 0;  // 0 until there is one
  uint32_t exit_status = 0;
  absl::Time exited_at = absl::InfinitePast();
};

}  // namespace berth::task

#endif  // BERTH_SHIM_TASK_PROCESS_H_
