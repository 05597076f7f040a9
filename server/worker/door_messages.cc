#include "server/worker/door_messages.h"

#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "base/status/errno_status.h"

namespace berth::worker {

absl::Status SendDoorMessage(BorrowedFd control, char kind, absl::string_view text,
                             BorrowedFd socket) {
  text = text.substr(0, kMaxDoorText);
  iovec parts[2] = {{&kind, 1}, {const_cast<char*>(text.data()), text.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control_bytes[CMSG_SPACE(sizeof(int))] = {};
  if (socket.valid()) {
    message.msg_control = control_bytes;
    message.msg_controllen = sizeof(control_bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = socket.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  if (::sendmsg(control.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    return ErrnoStatus(errno, "sendmsg", "the door's control socket");
  }
  return absl::OkStatus();
}

absl::StatusOr<DoorMessage> ReceiveDoorMessage(BorrowedFd control) {
  char bytes[1 + kMaxDoorText];
  iovec part = {bytes, sizeof(bytes)};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control_bytes[CMSG_SPACE(sizeof(int))] = {};
  message.msg_control = control_bytes;
  message.msg_controllen = sizeof(control_bytes);
  ssize_t size;
  do {
    size = ::recvmsg(control.get(), &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno != ECONNRESET) {
    return ErrnoStatus(errno, "recvmsg", "the door's control socket");
  }
  DoorMessage result;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); size > 0 && header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    result.socket.Reset(fd);
  }
  if (size <= 0) return result;
  result.kind = bytes[0];
  result.text.assign(bytes + 1, static_cast<size_t>(size) - 1);
  return result;
}

}  // namespace berth::worker
