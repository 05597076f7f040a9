// Makers of descriptors: the only place with naked open, pipe, socket, dup, memfd and pidfd calls.
// Each sets CLOEXEC at birth. Thread-safe functions. Errors: ErrnoStatus with the call and the
// path.
#ifndef BERTH_BASE_OS_FD_FACTORIES_H_
#define BERTH_BASE_OS_FD_FACTORIES_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};

// open(2) of a path of our own (never one that a container or an image names). O_CLOEXEC is added.
absl::StatusOr<UniqueFd> OpenFile(absl::string_view path, int flags, mode_t mode = 0);
// openat(2) relative to `directory`.
absl::StatusOr<UniqueFd> OpenAt(BorrowedFd directory, absl::string_view path, int flags,
                                mode_t mode = 0);
// openat2(2) with `resolve` (RESOLVE_*) limits. `mode` only with O_CREAT or O_TMPFILE.
absl::StatusOr<UniqueFd> OpenAt2(BorrowedFd directory, absl::string_view path, int flags,
                                 uint64_t resolve, mode_t mode = 0);
// A foreign path below `root`: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS.
absl::StatusOr<UniqueFd> OpenInRoot(BorrowedFd root, absl::string_view path, int flags,
                                    mode_t mode = 0);
// `flags`: O_NONBLOCK, O_DIRECT.
absl::StatusOr<Pipe> MakePipe(int flags = 0);
// AF_UNIX; `type`: SOCK_STREAM or SOCK_SEQPACKET, optionally with SOCK_NONBLOCK.
absl::StatusOr<SocketPair> MakeSocketPair(int type);
// `lowest`: the smallest number that the copy may get. What a child is to execute by its descriptor
// must lie above all numbers that are filled in the child (see Spawn): 32.
absl::StatusOr<UniqueFd> DupFd(BorrowedFd fd, int lowest = 3);
// A bound and listening AF_UNIX socket at `path`; whatever stands there is replaced. Paths beyond
// sun_path's 107 bytes are reached through a directory descriptor.
absl::StatusOr<UniqueFd> ListenUnix(absl::string_view path, mode_t mode, int backlog);
// A connected AF_UNIX stream socket. `flags`: SOCK_NONBLOCK. Errors: UNAVAILABLE where nobody
// listens.
absl::StatusOr<UniqueFd> ConnectUnix(absl::string_view path, int flags = 0);
// A connected AF_UNIX datagram socket; a leading '@' means the abstract namespace.
absl::StatusOr<UniqueFd> ConnectUnixDatagram(absl::string_view path);
// pidfd_open(2). Errors: NOT_FOUND when the process is gone.
absl::StatusOr<UniqueFd> OpenPidFd(pid_t pid);
// An executable memfd with the bytes of `source`, sealed against any change. Errors: as
// memfd_create(2) where exec is forbidden.
absl::StatusOr<UniqueFd> MakeSealedExecutable(absl::string_view name, BorrowedFd source);

}  // namespace berth

#endif  // BERTH_BASE_OS_FD_FACTORIES_H_
