// The user's terminal: raw mode while a container's terminal is attached, and its size.
//
// Invariant: a RawTerminal that is destroyed has put back the mode it found. Thread-hostile, as the
// terminal itself is; owned by the attach session.
#ifndef BERTH_CLIENT_ATTACH_TERMINAL_H_
#define BERTH_CLIENT_ATTACH_TERMINAL_H_

#include <termios.h>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth::client {

struct WindowSize {
  int columns = 0;
  int rows = 0;
};

bool IsTerminal(BorrowedFd fd);

// Errors: FAILED_PRECONDITION when `fd` is no terminal.
absl::StatusOr<WindowSize> GetWindowSize(BorrowedFd fd);

class RawTerminal {
 public:
  // Every key goes to the program, nothing is echoed or made into a signal here. `fd` must outlive
  // the object.
  static absl::StatusOr<RawTerminal> Enter(BorrowedFd fd);
  RawTerminal(RawTerminal&& other) noexcept : fd_(other.fd_), saved_(other.saved_) {
    other.fd_ = -1;
  }
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal() { Restore(); }

  // Idempotent.
  void Restore();

 private:
  RawTerminal(int fd, const termios& saved) : fd_(fd), saved_(saved) {}

  int fd_;  // -1: restored
  termios saved_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_TERMINAL_H_
