// The time during which a process and the user's terminal belong together: raw mode, window size,
// signals, stdio. Thread-hostile (terminal and signal handlers are the process's); one at a time.
#ifndef BERTH_CLIENT_ATTACH_SESSION_H_
#define BERTH_CLIENT_ATTACH_SESSION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "client/attach/signal_pipe.h"
#include "client/attach/stdio_fifos.h"
#include "client/sdk/task_client.h"

namespace berth::client {

struct SessionOptions {
  WithTerminal terminal = WithTerminal::kNo;
  WithStdin stdin_attached = WithStdin::kNo;
  BorrowedFd log = BorrowedFd(-1);  // gets a copy of all output
};

class Session {
 public:
  // Errors: FAILED_PRECONDITION when a terminal is wanted and the user's stdin is none.
  static absl::StatusOr<Session> Prepare(const SessionOptions& options);

  // Call between Start and the first output that matters: signals are forwarded from Prepare on.
  // Blocks: until the process ends. Answers its exit status; what the process wrote has then been
  // delivered.
  absl::StatusOr<ExitResult> Run(const TaskClient& tasks, const ProcessId& process, StdioEnds ends,
                                 PendingWait& wait);

 private:
  Session(const SessionOptions& options, std::unique_ptr<SignalPipe> signals)
      : options_(options), signals_(std::move(signals)) {}

  SessionOptions options_;
  std::unique_ptr<SignalPipe> signals_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_SESSION_H_
