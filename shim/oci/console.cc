#include "shim/oci/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::oci {
namespace {

// One message with `name` as its text and `fd` as its descriptor.
absl::Status SendDescriptor(const std::string& path, std::string name, int fd) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnix(path));
  struct iovec part = {name.data(), name.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  ::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  if (::sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) {
    return ErrnoStatus(errno, absl::StrCat("send ", name, " to"), path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SendConsole(const std::string& path, UniqueFd master) {
  BERTH_RETURN_IF_ERROR(SendDescriptor(path, "/dev/ptmx", master.get())) << "--console-socket";
  return absl::OkStatus();
}

absl::Status SendPidFd(const std::string& path, BorrowedFd pidfd) {
  BERTH_RETURN_IF_ERROR(SendDescriptor(path, "pidfd", pidfd.get())) << "--pidfd-socket";
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
