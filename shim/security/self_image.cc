#include "shim/security/self_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/security/image_remap.h"

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

// The file's own mount, cloned, detached and read-only: nothing in a container can remount it. -1
// where the kernel refuses.
int CloneReadOnly(const char* path) {
  const long tree = ::syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (tree >= 0 &&
      ::syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    ::close(static_cast<int>(tree));
    return -1;
  }
  return static_cast<int>(tree);
}

#ifndef __SANITIZE_ADDRESS__  // whose own start comes first
// What open_tree gives is a place only; the file there is opened through its descriptor's name.
bool RemapOnto(int place) {
  char name[32];
  ::snprintf(name, sizeof(name), "/proc/self/fd/%d", place);
  const int image = ::open(name, O_RDONLY | O_CLOEXEC);  // tidy: allow(open) before constructors
  if (image < 0) return false;
  const bool moved = RemapOntoImage(image);
  ::close(image);
  return moved;
}

// Before constructors: nothing here may allocate or need them. Whatever does not work is left to
// ProtectSelfImage, which says why.
void ProtectEarly(int argc, char** argv, char** environment) {
  bool launches = false;
  for (int i = 1; i < argc; ++i) {
    launches |= ::strcmp(argv[i], "create") == 0 || ::strcmp(argv[i], "run") == 0 ||
                ::strcmp(argv[i], "exec") == 0;
  }
  struct statvfs filesystem;
  if (!launches || ::statvfs(kSelf, &filesystem) != 0 || (filesystem.f_flag & ST_RDONLY) != 0)
    return;
  const int safe = CloneReadOnly(kSelf);
  if (safe < 0) return;
  if (!RemapOnto(safe)) ::syscall(SYS_execveat, safe, "", argv, environment, AT_EMPTY_PATH);
  ::close(safe);
}

__attribute__((section(".preinit_array"), used)) void (*const kProtectEarly)(int, char**,
                                                                             char**) = ProtectEarly;
#endif

}  // namespace

absl::Status ProtectSelfImage(char** argv) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd image, OpenFile(kSelf, O_RDONLY));
  if (IsProtected(image)) {
    // An image executed by descriptor is named after the descriptor's number.
    const char* slash = ::strrchr(argv[0], '/');
    ::prctl(PR_SET_NAME, slash != nullptr ? slash + 1 : argv[0], 0, 0, 0);
    return absl::OkStatus();
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd safe, OpenProtectedSelf());
  ::execveat(safe.get(), "", argv, environ, AT_EMPTY_PATH);
  return ErrnoStatus(errno, "execute the protected image");
}

absl::StatusOr<UniqueFd> OpenProtectedSelf() { return OpenProtected(kSelf); }

absl::StatusOr<UniqueFd> OpenProtected(absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd image, OpenFile(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (::fstat(image.get(), &info) != 0) return ErrnoStatus(errno, "fstat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no file"));
  }
  if (IsProtected(image)) return image;
  UniqueFd safe(CloneReadOnly(absl::StrCat("/proc/self/fd/", image.get()).c_str()));
  if (safe.valid()) return safe;
  return MakeSealedExecutable("berth", image);
}

}  // namespace berth::security
