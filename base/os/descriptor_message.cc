#include "base/os/descriptor_message.h"

#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "base/status/errno_status.h"

namespace berth {

absl::Status SendDescriptor(BorrowedFd socket, absl::string_view text, BorrowedFd descriptor,
                            int flags) {
  struct iovec part = {const_cast<char*>(text.data()), text.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor.valid()) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = descriptor.get();
    ::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket.get(), &message, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return ErrnoStatus(errno, "sendmsg");
  if (static_cast<size_t>(sent) != text.size()) {
    return absl::ResourceExhaustedError("the socket took only a part of the message");
  }
  return absl::OkStatus();
}

absl::StatusOr<DescriptorMessage> ReceiveDescriptor(BorrowedFd socket, size_t limit, int flags) {
  DescriptorMessage result;
  result.text.resize(limit);
  struct iovec part = {result.text.data(), result.text.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = ::recvmsg(socket.get(), &message, flags | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return ErrnoStatus(errno, "recvmsg");
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    ::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    result.descriptor.Reset(fd);
  }
  result.text.resize(static_cast<size_t>(size));
  return result;
}

}  // namespace berth
