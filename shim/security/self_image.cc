#include "shim/security/self_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::security {
namespace {

constexpr char kSelf[] = "/proc/self/exe";

bool IsProtected(BorrowedFd image) {
  struct statvfs filesystem;
  if (::fstatvfs(image.get(), &filesystem) == 0 && (filesystem.f_flag & ST_RDONLY) != 0)
    return true;
  const int seals = ::fcntl(image.get(), F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

// The file's own mount, cloned, detached and read-only: nothing in a container can remount it.
UniqueFd CloneReadOnly() {
  UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, kSelf, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (tree.valid() && ::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes,
                                sizeof(attributes)) != 0) {
    tree.Reset();
  }
  return tree;
}

}  // namespace

absl::Status ProtectSelfImage(char** argv) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd image, OpenFile(kSelf, O_RDONLY));
  if (IsProtected(image)) {
    // An image executed by descriptor is named after the descriptor's number.
    const char* slash = ::strrchr(argv[0], '/');
    ::prctl(PR_SET_NAME, slash != nullptr ? slash + 1 : argv[0], 0, 0, 0);
    return absl::OkStatus();
  }
  UniqueFd safe = CloneReadOnly();
  if (!safe.valid()) {
    BERTH_ASSIGN_OR_RETURN(safe, MakeSealedExecutable("berth", image));
  }
  ::execveat(safe.get(), "", argv, environ, AT_EMPTY_PATH);
  return ErrnoStatus(errno, "execute the protected image");
}

}  // namespace berth::security
