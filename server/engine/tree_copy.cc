#include "server/engine/tree_copy.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr int kMaxDepth = 256;
constexpr size_t kCopyBytes = 1 << 20;

class Copier {
 public:
  explicit Copier(dev_t device) : device_(device) {}

  absl::Status Directory(BorrowedFd source, BorrowedFd parent, const std::string& name, int depth);

 private:
  absl::Status Entry(BorrowedFd source, BorrowedFd target, const std::string& name, int depth);
  absl::Status File(BorrowedFd source, BorrowedFd target, const std::string& name);
  absl::Status Link(BorrowedFd source, BorrowedFd target, const std::string& name);

  const dev_t device_;
  // A first copy of an inode with several names, for the others: a path below the new root.
  std::map<ino_t, UniqueFd> linked_;
};

absl::Status Failed(const char* what, const std::string& name) {
  return ErrnoStatus(errno, absl::StrCat(what, " ", name));
}

void CopyAttributes(BorrowedFd source, BorrowedFd target) {
  char names[4096];
  const ssize_t length = ::flistxattr(source.get(), names, sizeof(names));
  if (length <= 0) return;
  for (absl::string_view name : absl::StrSplit(
           absl::string_view(names, static_cast<size_t>(length)), '\0', absl::SkipEmpty())) {
    // An overlay's own marks are not the file's.
    if (absl::StartsWith(name, "trusted.overlay.") || absl::StartsWith(name, "user.overlay.")) {
      continue;
    }
    const std::string key(name);
    char value[4096];
    const ssize_t size = ::fgetxattr(source.get(), key.c_str(), value, sizeof(value));
    if (size >= 0) {
      ::fsetxattr(target.get(), key.c_str(), value, static_cast<size_t>(size), 0);
    }
  }
}

absl::Status SetOwnerModeTimes(BorrowedFd fd, const struct stat& status, const std::string& name) {
  if (::fchown(fd.get(), status.st_uid, status.st_gid) != 0) return Failed("chown", name);
  if (::fchmod(fd.get(), status.st_mode & 07777) != 0) return Failed("chmod", name);
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  if (::futimens(fd.get(), times) != 0) return Failed("set the times of", name);
  return absl::OkStatus();
}

absl::Status CopyBytes(BorrowedFd source, BorrowedFd target, const std::string& name) {
  while (true) {
    const ssize_t copied =
        ::copy_file_range(source.get(), nullptr, target.get(), nullptr, kCopyBytes, 0);
    if (copied == 0) return absl::OkStatus();
    if (copied > 0 || errno == EINTR) continue;
    if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP) return Failed("copy", name);
    break;
  }
  std::vector<char> buffer(kCopyBytes);
  while (true) {
    const ssize_t size = ::read(source.get(), buffer.data(), buffer.size());
    if (size == 0) return absl::OkStatus();
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Failed("read", name);
    BERTH_RETURN_IF_ERROR(
        WriteAll(target, absl::string_view(buffer.data(), static_cast<size_t>(size))));
  }
}

absl::Status Copier::File(BorrowedFd source, BorrowedFd target, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd from,
                         OpenAt(source, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat status = {};
  if (::fstat(from.get(), &status) != 0) return Failed("stat", name);
  if (status.st_nlink > 1) {
    if (const auto first = linked_.find(status.st_ino); first != linked_.end()) {
      const std::string path = absl::StrCat("/proc/self/fd/", first->second.get());
      if (::linkat(AT_FDCWD, path.c_str(), target.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
        return absl::OkStatus();
      }
    }
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd to,
                         OpenAt(target, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  BERTH_RETURN_IF_ERROR(CopyBytes(from, to, name));
  BERTH_RETURN_IF_ERROR(SetOwnerModeTimes(to, status, name));
  CopyAttributes(from, to);
  if (status.st_nlink > 1) linked_.emplace(status.st_ino, std::move(to));
  return absl::OkStatus();
}

absl::Status Copier::Link(BorrowedFd source, BorrowedFd target, const std::string& name) {
  char text[PATH_MAX];
  const ssize_t length = ::readlinkat(source.get(), name.c_str(), text, sizeof(text));
  if (length < 0 || length == sizeof(text)) return Failed("read the link", name);
  const std::string destination(text, static_cast<size_t>(length));
  if (::symlinkat(destination.c_str(), target.get(), name.c_str()) != 0) {
    return Failed("make the link", name);
  }
  return absl::OkStatus();
}

absl::Status Copier::Entry(BorrowedFd source, BorrowedFd target, const std::string& name,
                           int depth) {
  struct stat status = {};
  if (::fstatat(source.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed("stat", name);
  }
  if (S_ISDIR(status.st_mode)) {
    if (status.st_dev != device_) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(const UniqueFd directory,
                           OpenAt(source, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return Directory(directory, target, name, depth + 1);
  }
  if (S_ISREG(status.st_mode)) return File(source, target, name);
  if (S_ISLNK(status.st_mode)) {
    BERTH_RETURN_IF_ERROR(Link(source, target, name));
  } else if (::mknodat(target.get(), name.c_str(), status.st_mode, status.st_rdev) != 0) {
    return Failed("make the node", name);
  }
  if (::fchownat(target.get(), name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) !=
      0) {
    return Failed("chown", name);
  }
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  ::utimensat(target.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  return absl::OkStatus();
}

absl::Status Copier::Directory(BorrowedFd source, BorrowedFd parent, const std::string& name,
                               int depth) {
  if (depth > kMaxDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tree is deeper than ", kMaxDepth, " directories"));
  }
  struct stat status = {};
  if (::fstat(source.get(), &status) != 0) return Failed("stat", name);
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0) return Failed("mkdir", name);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd target,
                         OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(source));
  for (const std::string& entry : names) {
    BERTH_RETURN_IF_ERROR(Entry(source, target, entry, depth));
  }
  CopyAttributes(source, target);
  return SetOwnerModeTimes(target, status, name);
}

}  // namespace

absl::Status CopyTree(BorrowedFd source, BorrowedFd parent, const std::string& name) {
  struct stat status = {};
  if (::fstat(source.get(), &status) != 0) return Failed("stat", name);
  return Copier(status.st_dev).Directory(source, parent, name, 0);
}

}  // namespace berth::engine
