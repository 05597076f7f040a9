#include "shim/launch/seccomp_notify.h"

#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::launch {

absl::Status SendSeccompListener(const SeccompAgent& agent, BorrowedFd listener, pid_t pid,
                                 absl::string_view oci_version, const std::string& state_json) {
  if (agent.path.empty()) {
    return absl::FailedPreconditionError(
        "a seccomp rule says SCMP_ACT_NOTIFY, but $.linux.seccomp.listenerPath names no agent");
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnix(agent.path, SOCK_NONBLOCK),
                         _ << "$.linux.seccomp.listenerPath");
  json::Writer writer;
  writer.BeginObject().Key("ociVersion").String(oci_version);
  writer.Key("fds").BeginArray().String("seccompFd").EndArray().Key("pid").Int(pid);
  writer.Key("metadata").String(agent.metadata).Key("state").Raw(state_json).EndObject();
  std::string text = writer.Take();
  struct iovec part = {text.data(), text.size()};
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
  const int fd = listener.get();
  ::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  const ssize_t sent = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
  if (sent < 0) return ErrnoStatus(errno, "send the seccomp listener to", agent.path);
  if (static_cast<size_t>(sent) != text.size()) {
    return absl::ResourceExhaustedError("the seccomp agent's socket took only a part of the state");
  }
  return absl::OkStatus();
}

}  // namespace berth::launch
