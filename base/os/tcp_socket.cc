#include "base/os/tcp_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

struct TcpAddress {
  struct sockaddr_storage storage = {};
  socklen_t length = 0;
  bool loopback = false;
};

absl::StatusOr<TcpAddress> ParseTcpAddress(absl::string_view text) {
  const auto malformed = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is no numeric address and port, as in \"127.0.0.1:2376\" or "
                     "\"[::1]:2376\""));
  };
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
      port > 65535) {
    return malformed();
  }
  std::string host(text.substr(0, colon));
  TcpAddress result;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    auto& v6 = reinterpret_cast<struct sockaddr_in6&>(result.storage);
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return malformed();
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(static_cast<uint16_t>(port));
    result.length = sizeof(v6);
    result.loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
    return result;
  }
  auto& v4 = reinterpret_cast<struct sockaddr_in&>(result.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) return malformed();
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(port));
  result.length = sizeof(v4);
  result.loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  return result;
}

}  // namespace

absl::StatusOr<bool> IsLoopback(absl::string_view address) {
  BERTH_ASSIGN_OR_RETURN(const TcpAddress parsed, ParseTcpAddress(address));
  return parsed.loopback;
}

absl::StatusOr<UniqueFd> ListenTcp(absl::string_view address, int backlog) {
  BERTH_ASSIGN_OR_RETURN(const TcpAddress parsed, ParseTcpAddress(address));
  UniqueFd socket(
      ::socket(parsed.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return ErrnoStatus(errno, "socket", address);
  const int on = 1;
  // Connections of an earlier daemon that are still closing must not keep this one away.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return ErrnoStatus(errno, "setsockopt", address);
  }
  if (::bind(socket.get(), reinterpret_cast<const struct sockaddr*>(&parsed.storage),
             parsed.length) != 0) {
    return ErrnoStatus(errno, "bind", address);
  }
  if (::listen(socket.get(), backlog) != 0) return ErrnoStatus(errno, "listen", address);
  return socket;
}

absl::StatusOr<std::string> BoundTcpAddress(BorrowedFd socket) {
  struct sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  if (::getsockname(socket.get(), reinterpret_cast<struct sockaddr*>(&storage), &length) != 0) {
    return ErrnoStatus(errno, "getsockname", "a TCP socket");
  }
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const struct sockaddr_in6&>(storage);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const struct sockaddr_in&>(storage);
  ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(v4.sin_port));
}

}  // namespace berth
