// Starting another program with posix_spawn, and the child that results.
//
// Invariant: the child gets exactly the descriptors that are listed, with default signal
// dispositions and an empty signal mask; its pidfd exists before anything could reap it. A
// ChildProcess that is destroyed unreaped is killed and reaped. Used by server/task (shims) and for
// the worker and credential helpers. Thread-safe function; the child is thread-compatible.
#ifndef BERTH_BASE_OS_SPAWN_H_
#define BERTH_BASE_OS_SPAWN_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"

namespace berth {

// How a process ended: the shell's view is ExitCode().
struct ExitState {
  int code = 0;    // when signal == 0
  int signal = 0;  // the signal that ended it
  // 128 + signal for a signal, else the exit code.
  int ExitCode() const { return signal != 0 ? 128 + signal : code; }
};

class ChildProcess {
 public:
  ChildProcess() = default;
  ChildProcess(pid_t pid, UniqueFd pidfd);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  BorrowedFd pidfd() const { return pidfd_; }
  absl::Status Signal(int signal) const;
  // Waits for the end and reaps. Errors: DEADLINE_EXCEEDED; the child is then left running. Blocks.
  absl::StatusOr<ExitState> Wait(absl::Duration timeout);
  // Gives up the child: it is neither killed nor reaped by this object any more.
  [[nodiscard]] UniqueFd Detach();

 private:
  void KillAndReap();
  pid_t pid_ = -1;  // -1: none, or reaped, or detached
  UniqueFd pidfd_;
};

struct SpawnOptions {
  std::string executable;                // a path; /proc/self/fd/N for a descriptor of this process
  std::vector<std::string> arguments;    // with argv[0]
  std::vector<std::string> environment;  // KEY=value, the whole of it
  // Descriptor number in the child -> ours. 0, 1 and 2 become /dev/null when not listed. Numbers
  // from 0 to 31.
  std::vector<std::pair<int, int>> descriptors;
  std::string working_directory;  // empty: ours
  enum class Session { kInherit, kNew } session = Session::kInherit;
};

// Errors: as posix_spawn(3); NOT_FOUND when the executable is missing.
absl::StatusOr<ChildProcess> Spawn(const SpawnOptions& options);

}  // namespace berth

#endif  // BERTH_BASE_OS_SPAWN_H_
