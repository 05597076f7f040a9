#include "server/main/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/tcp_socket.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr int kFirstInheritedFd = 3;  // sd_listen_fds(3)

std::string TakeVariable(const char* name) {
  const char* value = ::getenv(name);
  std::string result = value == nullptr ? "" : value;
  ::unsetenv(name);
  return result;
}

absl::StatusOr<InheritedSocket> Inherit(int number) {
  InheritedSocket result;
  result.fd.Reset(number);
  const std::string what = absl::StrCat("descriptor ", number, " of LISTEN_FDS");
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (::getsockopt(number, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
    return ErrnoStatus(errno, "getsockopt", what);
  }
  struct sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  if (::getsockname(number, reinterpret_cast<struct sockaddr*>(&storage), &length) != 0) {
    return ErrnoStatus(errno, "getsockname", what);
  }
  const bool is_tcp = storage.ss_family == AF_INET || storage.ss_family == AF_INET6;
  if (listening == 0 || (storage.ss_family != AF_UNIX && !is_tcp)) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, " is no listening unix or TCP socket: set ListenStream= in the socket unit"));
  }
  if (is_tcp) {
    BERTH_ASSIGN_OR_RETURN(result.path, BoundTcpAddress(result.fd));
  } else if (length > offsetof(struct sockaddr_un, sun_path)) {
    result.path = reinterpret_cast<const struct sockaddr_un&>(storage).sun_path;
  }
  if (::fcntl(number, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(number, F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "fcntl", what);
  }
  return result;
}

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  return ServiceManager(TakeVariable("NOTIFY_SOCKET"));
}

absl::Status ServiceManager::Notify(absl::string_view state) const {
  if (notify_socket_.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnixDatagram(notify_socket_),
                         _ << "notify the service manager");
  return WriteAll(socket, state);
}

absl::StatusOr<std::vector<InheritedSocket>> TakeInheritedSockets() {
  const std::string pid = TakeVariable("LISTEN_PID");
  const std::string count = TakeVariable("LISTEN_FDS");
  TakeVariable("LISTEN_FDNAMES");
  const std::string predecessor = TakeVariable(kHandoverVariable);
  std::vector<InheritedSocket> sockets;
  int wanted_pid = 0;
  int sockets_count = 0;
  const bool from_manager = absl::SimpleAtoi(pid, &wanted_pid) && wanted_pid == ::getpid();
  const bool from_predecessor =
      absl::SimpleAtoi(predecessor, &wanted_pid) && wanted_pid == ::getppid();
  if (!from_manager && !from_predecessor) return sockets;
  if (!absl::SimpleAtoi(count, &sockets_count)) return sockets;
  for (int i = 0; i < sockets_count; ++i) {
    BERTH_ASSIGN_OR_RETURN(InheritedSocket socket, Inherit(kFirstInheritedFd + i));
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

}  // namespace berth
