#include "client/attach/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/status/errno_status.h"

namespace berth::client {

bool IsTerminal(BorrowedFd fd) { return ::isatty(fd.get()) == 1; }

absl::StatusOr<WindowSize> GetWindowSize(BorrowedFd fd) {
  winsize size = {};
  if (::ioctl(fd.get(), TIOCGWINSZ, &size) != 0) {
    return ErrnoStatus(errno, "ask the terminal for its size");
  }
  return WindowSize{size.ws_col, size.ws_row};
}

absl::StatusOr<RawTerminal> RawTerminal::Enter(BorrowedFd fd) {
  termios saved = {};
  if (::tcgetattr(fd.get(), &saved) != 0) return ErrnoStatus(errno, "read the terminal's mode");
  termios raw = saved;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd.get(), TCSANOW, &raw) != 0) {
    return ErrnoStatus(errno, "set the terminal to raw mode");
  }
  return RawTerminal(fd.get(), saved);
}

void RawTerminal::Restore() {
  if (fd_ < 0) return;
  // The terminal may be gone (a closed window); there is nobody left to tell.
  (void)::tcsetattr(fd_, TCSADRAIN, &saved_);
  fd_ = -1;
}

}  // namespace berth::client
