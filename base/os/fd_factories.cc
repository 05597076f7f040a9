#include "base/os/fd_factories.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace berth {
namespace {

// An address for `path`. A path that does not fit is written as /proc/self/fd/<directory>/<name>.
struct UnixAddress {
  struct sockaddr_un address = {};
  socklen_t length = 0;
  UniqueFd directory;
};

absl::StatusOr<UnixAddress> MakeUnixAddress(absl::string_view path) {
  UnixAddress result;
  std::string name(path);
  if (name.size() >= sizeof(result.address.sun_path)) {
    const size_t slash = name.rfind('/');
    if (slash == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("socket name too long: ", path));
    }
    BERTH_ASSIGN_OR_RETURN(result.directory, OpenFile(name.substr(0, slash), O_PATH | O_DIRECTORY));
    name = absl::StrCat("/proc/self/fd/", result.directory.get(), name.substr(slash));
    if (name.size() >= sizeof(result.address.sun_path)) {
      return absl::InvalidArgumentError(absl::StrCat("socket name too long: ", path));
    }
  }
  result.address.sun_family = AF_UNIX;
  std::memcpy(result.address.sun_path, name.c_str(), name.size() + 1);
  result.length = offsetof(struct sockaddr_un, sun_path) + name.size() + 1;
  return result;
}

absl::StatusOr<UniqueFd> UnixSocket(int flags, absl::string_view path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!socket.valid()) return ErrnoStatus(errno, "socket", path);
  return socket;
}

absl::Status CopyAll(BorrowedFd source, BorrowedFd target) {
  struct stat info;
  if (::fstat(source.get(), &info) != 0) return ErrnoStatus(errno, "fstat");
  off_t offset = 0;
  while (offset < info.st_size) {
    const ssize_t sent = ::sendfile(target.get(), source.get(), &offset, info.st_size - offset);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return ErrnoStatus(errno, "sendfile");
    if (sent == 0) return absl::DataLossError("the file shrank while it was copied");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> OpenFile(absl::string_view path, int flags, mode_t mode) {
  return OpenAt(BorrowedFd(AT_FDCWD), path, flags, mode);
}

absl::StatusOr<UniqueFd> OpenAt(BorrowedFd directory, absl::string_view path, int flags,
                                mode_t mode) {
  UniqueFd fd(::openat(directory.get(), std::string(path).c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  return fd;
}

absl::StatusOr<UniqueFd> OpenAt2(BorrowedFd directory, absl::string_view path, int flags,
                                 uint64_t resolve, mode_t mode) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  const std::string name(path);
  // A concurrent rename makes RESOLVE_BENEATH and RESOLVE_IN_ROOT answer EAGAIN (openat2(2));
  // bounded, as a busy renamer could keep it up for ever.
  for (int attempt = 0;; ++attempt) {
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, directory.get(), name.c_str(), &how, sizeof(how))));
    if (fd.valid()) return fd;
    if ((errno == EAGAIN || errno == EINTR) && attempt < 128) continue;
    return ErrnoStatus(errno, "openat2", path);
  }
}

absl::StatusOr<UniqueFd> OpenInRoot(BorrowedFd root, absl::string_view path, int flags,
                                    mode_t mode) {
  return OpenAt2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode);
}

absl::StatusOr<Pipe> MakePipe(int flags) {
  int fds[2];
  if (::pipe2(fds, flags | O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

absl::StatusOr<SocketPair> MakeSocketPair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

absl::StatusOr<UniqueFd> DupFd(BorrowedFd fd, int lowest) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, lowest));
  if (!copy.valid()) return ErrnoStatus(errno, "fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

absl::StatusOr<UniqueFd> ListenUnix(absl::string_view path, mode_t mode, int backlog) {
  BERTH_ASSIGN_OR_RETURN(UnixAddress address, MakeUnixAddress(path));
  BERTH_ASSIGN_OR_RETURN(UniqueFd socket, UnixSocket(SOCK_NONBLOCK, path));
  if (::unlink(address.address.sun_path) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "unlink", path);
  }
  // The mode of the bound name follows the socket inode's: set before bind, so that there is no
  // moment with a wider one.
  if (::fchmod(socket.get(), mode) != 0) return ErrnoStatus(errno, "fchmod", path);
  if (::bind(socket.get(), reinterpret_cast<struct sockaddr*>(&address.address), address.length) !=
      0) {
    return ErrnoStatus(errno, "bind", path);
  }
  if (::chmod(address.address.sun_path, mode) != 0) return ErrnoStatus(errno, "chmod", path);
  if (::listen(socket.get(), backlog) != 0) return ErrnoStatus(errno, "listen", path);
  return socket;
}

absl::StatusOr<UniqueFd> ConnectUnix(absl::string_view path, int flags) {
  BERTH_ASSIGN_OR_RETURN(UnixAddress address, MakeUnixAddress(path));
  BERTH_ASSIGN_OR_RETURN(UniqueFd socket, UnixSocket(flags, path));
  if (::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&address.address),
                address.length) != 0) {
    return ErrnoStatus(errno, "connect", path);
  }
  return socket;
}

absl::StatusOr<UniqueFd> ConnectUnixDatagram(absl::string_view path) {
  struct sockaddr_un address = {};
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path,
                                                   "\" is no socket name: expected 1 to ",
                                                   sizeof(address.sun_path) - 1, " bytes"));
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const socklen_t length = offsetof(struct sockaddr_un, sun_path) + path.size();
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return ErrnoStatus(errno, "socket", path);
  if (::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&address), length) != 0) {
    return ErrnoStatus(errno, "connect", path);
  }
  return socket;
}

absl::StatusOr<UniqueFd> OpenPidFd(pid_t pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return ErrnoStatus(errno, "pidfd_open", absl::StrCat(pid));
  return fd;
}

absl::StatusOr<UniqueFd> MakeSealedExecutable(absl::string_view name, BorrowedFd source) {
  const std::string label(name);
  UniqueFd memory(
      static_cast<int>(::memfd_create(label.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC)));
  // Kernels before 6.3 do not know MFD_EXEC and make every memfd executable.
  if (!memory.valid() && errno == EINVAL) {
    memory.Reset(::memfd_create(label.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (!memory.valid()) return ErrnoStatus(errno, "memfd_create", name);
  BERTH_RETURN_IF_ERROR(CopyAll(source, memory)) << "copy " << label << " into memory";
  if (::fchmod(memory.get(), 0500) != 0) return ErrnoStatus(errno, "fchmod", name);
  if (::fcntl(memory.get(), F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return ErrnoStatus(errno, "fcntl(F_ADD_SEALS)", name);
  }
  return memory;
}

}  // namespace berth
