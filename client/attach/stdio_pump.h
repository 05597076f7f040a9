// Carries bytes between the user's stdio and a process's pipes, and tells of signals, until the
// process has ended and its output is read.
//
// Invariant: buffers are bounded: input is read only when the last of it was written. Output that
// nobody reads any more is thrown away, so that the process cannot hang on us. Thread-compatible;
// runs on the caller's thread; owned by the attach session.
#ifndef BERTH_CLIENT_ATTACH_STDIO_PUMP_H_
#define BERTH_CLIENT_ATTACH_STDIO_PUMP_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "client/attach/signal_pipe.h"
#include "client/attach/stdio_fifos.h"

namespace berth::client {

// The user's side. Invalid descriptors are left alone.
struct UserStdio {
  BorrowedFd in = BorrowedFd(-1);
  BorrowedFd out = BorrowedFd(-1);
  BorrowedFd err = BorrowedFd(-1);
  // A second copy of all output.
  BorrowedFd log = BorrowedFd(-1);
};

enum class Proceed { kYes, kGiveUp };

struct PumpEvents {
  std::function<Proceed(int signal)> on_signal = nullptr;
  std::function<void()> on_stdin_end = nullptr;    // all input has been written
  std::function<void()> on_output_lost = nullptr;  // nobody reads the user's stdout any more
};

class StdioPump {
 public:
  StdioPump(StdioEnds process, UserStdio user, PumpEvents events);

  // Runs until `exited` is readable and the output has ended. A program that the process left
  // behind may keep the output open: `drain` after the exit it is given up. Errors: CANCELLED when
  // on_signal gave up.
  absl::Status Run(BorrowedFd exited, SignalPipe& signals, absl::Duration drain);

 private:
  struct Output {
    UniqueFd source;
    BorrowedFd sink;
  };

  void ReadInput();
  void WriteInput();
  void EndInput();
  void ReadOutput(Output& output);
  void Deliver(Output& output, absl::string_view data);

  UniqueFd process_in_;
  std::vector<Output> outputs_;
  UserStdio user_;
  PumpEvents events_;
  std::string pending_input_;
  bool input_ended_ = false;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_STDIO_PUMP_H_
