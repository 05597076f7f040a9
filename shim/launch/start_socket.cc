#include "shim/launch/start_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::launch {
namespace {

// The directory must stay open while the address is used.
struct ShortAddress {
  UniqueFd directory;
  struct sockaddr_un address = {};
};

absl::StatusOr<ShortAddress> Shorten(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  ShortAddress out;
  BERTH_ASSIGN_OR_RETURN(out.directory, OpenFile(directory, O_PATH | O_DIRECTORY));
  out.address.sun_family = AF_UNIX;
  const int size = ::snprintf(out.address.sun_path, sizeof(out.address.sun_path),
                              "/proc/self/fd/%d/%s", out.directory.get(), name.c_str());
  if (size < 0 || static_cast<size_t>(size) >= sizeof(out.address.sun_path)) {
    return ErrnoStatus(ENAMETOOLONG, "name a socket", path);
  }
  return out;
}

absl::StatusOr<UniqueFd> PacketSocket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return ErrnoStatus(errno, "socket");
  return socket;
}

}  // namespace

absl::StatusOr<UniqueFd> ListenForStart(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(ShortAddress place, Shorten(path));
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, PacketSocket());
  if (::fchmod(listener.get(), 0600) != 0 ||
      ::bind(listener.get(), reinterpret_cast<struct sockaddr*>(&place.address),
             sizeof(place.address)) != 0 ||
      ::listen(listener.get(), 1) != 0) {
    return ErrnoStatus(errno, "listen on", path);
  }
  return listener;
}

absl::StatusOr<UniqueFd> ConnectForStart(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(ShortAddress place, Shorten(path));
  BERTH_ASSIGN_OR_RETURN(UniqueFd socket, PacketSocket());
  if (::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&place.address),
                sizeof(place.address)) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return absl::FailedPreconditionError(
          "cannot start a container that is not created, or whose init has ended");
    }
    return ErrnoStatus(errno, "connect to", path);
  }
  return socket;
}

}  // namespace berth::launch
