#include "client/sdk/tcp_dial.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "base/tls/tcp_options.h"

namespace berth::client {
namespace {

constexpr size_t kFrameHeadBytes = 9;
constexpr char kSettingsFrame = 4;
constexpr char kTlsAlert = 0x15;

// The client's preface, and an empty SETTINGS frame.
constexpr absl::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

absl::StatusOr<UniqueFd> Connect(const addrinfo& address, absl::Time deadline) {
  UniqueFd tcp(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!tcp.valid()) return ErrnoStatus(errno, "socket");
  if (::connect(tcp.get(), address.ai_addr, address.ai_addrlen) == 0) return tcp;
  if (errno != EINPROGRESS) return ErrnoStatus(errno, "connect");
  BERTH_RETURN_IF_ERROR(AwaitSocket(tcp, POLLOUT, deadline)) << "connect";
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(tcp.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return ErrnoStatus(error, "connect");
  return tcp;
}

}  // namespace

absl::Status AwaitSocket(BorrowedFd socket, short events, absl::Time deadline) {
  struct pollfd polled = {socket.get(), events, 0};
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError("no answer in time");
    const int count = ::poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (count > 0) return absl::OkStatus();
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
  }
}

absl::StatusOr<UniqueFd> DialTcp(const std::string& host, const std::string& port,
                                 absl::Time deadline) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat("the name \"", host, "\": ", ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(list, ::freeaddrinfo);
  absl::Status last = absl::UnavailableError("it has no address");
  for (const addrinfo* address = list; address != nullptr; address = address->ai_next) {
    absl::StatusOr<UniqueFd> tcp = Connect(*address, deadline);
    if (tcp.ok()) {
      SetTcpOptions(*tcp);
      return tcp;
    }
    last = tcp.status();
  }
  return absl::UnavailableError(last.message());
}

absl::Status CheckSpeaksPlainHttp2(UniqueFd tcp, absl::Time deadline) {
  if (::send(tcp.get(), kPreface.data(), kPreface.size(), MSG_NOSIGNAL) < 0) {
    return ErrnoStatus(errno, "send");
  }
  char head[kFrameHeadBytes];
  size_t have = 0;
  while (have < sizeof(head)) {
    BERTH_RETURN_IF_ERROR(AwaitSocket(tcp, POLLIN, deadline));
    const ssize_t count = ::recv(tcp.get(), head + have, sizeof(head) - have, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) break;
    have += static_cast<size_t>(count);
    if (head[0] == kTlsAlert) return absl::FailedPreconditionError("it speaks TLS");
  }
  if (have == sizeof(head) && head[3] == kSettingsFrame) return absl::OkStatus();
  return absl::FailedPreconditionError(
      have == 0 ? "it closed the connection, as servers do that speak TLS"
                : "what it answers is not HTTP/2");
}

}  // namespace berth::client
