#include "tests/testing/receive_descriptor.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstring>

namespace berth {
namespace {

constexpr int kPatienceMs = 10'000;

}  // namespace

UniqueFd ReceiveDescriptor(BorrowedFd listener, std::string& text) {
  struct pollfd wait = {listener.get(), POLLIN, 0};
  if (::poll(&wait, 1, kPatienceMs) != 1) return UniqueFd();
  const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid()) return UniqueFd();
  char buffer[4096];
  struct iovec part = {buffer, sizeof(buffer)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = ::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (size <= 0 || header == nullptr) return UniqueFd();
  text.assign(buffer, static_cast<size_t>(size));
  int fd = -1;
  ::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace berth
