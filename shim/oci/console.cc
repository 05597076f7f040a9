#include "shim/oci/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

#include "base/os/descriptor_message.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::oci {
namespace {

absl::Status Deliver(const std::string& path, absl::string_view name, BorrowedFd fd) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnix(path));
  BERTH_RETURN_IF_ERROR(SendDescriptor(socket, name, fd)) << "send " << name << " to " << path;
  return absl::OkStatus();
}

}  // namespace

absl::Status SendConsole(const std::string& path, UniqueFd master) {
  BERTH_RETURN_IF_ERROR(Deliver(path, "/dev/ptmx", master)) << "--console-socket";
  return absl::OkStatus();
}

absl::Status SendPidFd(const std::string& path, BorrowedFd pidfd) {
  BERTH_RETURN_IF_ERROR(Deliver(path, "pidfd", pidfd)) << "--pidfd-socket";
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ConsolePump>> ConsolePump::Start(Loop& loop, UniqueFd master) {
  std::unique_ptr<ConsolePump> pump(new ConsolePump(std::move(master)));
  if (::tcgetattr(STDIN_FILENO, &pump->before_) == 0) {
    struct termios raw = pump->before_;
    ::cfmakeraw(&raw);
    pump->raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  pump->Resize();
  ConsolePump* self = pump.get();
  BERTH_ASSIGN_OR_RETURN(pump->output_, loop.Watch(pump->master_, EPOLLIN, [self](uint32_t) {
    if (!self->Copy(self->master_.get(), STDOUT_FILENO)) self->output_.Reset();
  }));
  // A regular file as input cannot be watched; it is read at once instead.
  absl::StatusOr<FdWatch> input = loop.Watch(BorrowedFd(STDIN_FILENO), EPOLLIN, [self](uint32_t) {
    if (!self->Copy(STDIN_FILENO, self->master_.get())) self->input_.Reset();
  });
  if (input.ok()) pump->input_ = *std::move(input);
  return pump;
}

ConsolePump::~ConsolePump() {
  output_.Reset();
  input_.Reset();
  if (raw_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

bool ConsolePump::Copy(int from, int to) {
  char buffer[4096];
  const ssize_t size = ::read(from, buffer, sizeof(buffer));
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) return false;
  return WriteAll(BorrowedFd(to), absl::string_view(buffer, static_cast<size_t>(size))).ok();
}

void ConsolePump::Drain() {
  struct pollfd wait = {master_.get(), POLLIN, 0};
  while (::poll(&wait, 1, 0) > 0 && Copy(master_.get(), STDOUT_FILENO)) {
  }
}

void ConsolePump::Resize() {
  struct winsize size;
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
    ::ioctl(master_.get(), TIOCSWINSZ, &size);  // a pty whose other side is gone has no size
  }
}

}  // namespace berth::oci
