#include "snapshotter/native/tree_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {
namespace {

constexpr size_t kCopyChunkBytes = size_t{1} << 30;
constexpr size_t kBufferBytes = 128 << 10;

absl::Status CopyByBuffer(BorrowedFd from, BorrowedFd to, off_t offset, off_t end) {
  std::vector<char> buffer(kBufferBytes);
  while (offset < end) {
    const size_t want = std::min<size_t>(buffer.size(), end - offset);
    const ssize_t got = ::pread(from.get(), buffer.data(), want, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread");
    if (got == 0) return absl::OkStatus();  // the file became shorter: its size is set afterwards
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = ::pwrite(to.get(), buffer.data() + done, got - done, offset + done);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "pwrite");
      done += written;
    }
    offset += got;
  }
  return absl::OkStatus();
}

// One run of data without a hole.
absl::Status CopyRange(BorrowedFd from, BorrowedFd to, off_t offset, off_t end) {
  while (offset < end) {
    off_t in = offset;
    off_t out = offset;
    const ssize_t copied = ::copy_file_range(from.get(), &in, to.get(), &out,
                                             std::min<size_t>(kCopyChunkBytes, end - offset), 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0 && errno == ENOSPC) return ErrnoStatus(errno, "copy_file_range");
    // Between filesystems, or on one that cannot: by hand, which also finds the true error.
    if (copied <= 0) return CopyByBuffer(from, to, offset, end);
    offset += copied;
  }
  return absl::OkStatus();
}

absl::Status CopyContents(BorrowedFd from, BorrowedFd to, off_t size) {
  if (size == 0 || ::ioctl(to.get(), FICLONE, from.get()) == 0) return absl::OkStatus();
  off_t offset = 0;
  while (offset < size) {
    const off_t data = ::lseek(from.get(), offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    if (data < 0) return ErrnoStatus(errno, "lseek to data");
    const off_t hole = ::lseek(from.get(), data, SEEK_HOLE);
    if (hole < 0) return ErrnoStatus(errno, "lseek to hole");
    BERTH_RETURN_IF_ERROR(CopyRange(from, to, data, hole));
    offset = hole;
  }
  if (::ftruncate(to.get(), size) != 0) return ErrnoStatus(errno, "ftruncate");
  return absl::OkStatus();
}

// A path that reaches `name` in `directory` for the calls that have no *at form.
std::string ProcPath(BorrowedFd directory, const std::string& name) {
  return absl::StrCat("/proc/self/fd/", directory.get(), "/", name);
}

bool MayLack(const std::string& attribute, int error_number) {
  if (error_number == EOPNOTSUPP) return true;
  // A label of the host's security module, or one that needs a privilege we lack, belongs to the
  // policy and not to the layer; file capabilities are the exception.
  return absl::StartsWith(attribute, "security.") && attribute != "security.capability";
}

absl::Status CopyAttributes(const std::string& from, const std::string& to) {
  const ssize_t length = ::llistxattr(from.c_str(), nullptr, 0);
  if (length < 0 && errno == EOPNOTSUPP) return absl::OkStatus();
  if (length < 0) return ErrnoStatus(errno, "llistxattr", from);
  if (length == 0) return absl::OkStatus();
  std::string names(length, '\0');
  const ssize_t listed = ::llistxattr(from.c_str(), names.data(), names.size());
  if (listed < 0) return ErrnoStatus(errno, "llistxattr", from);
  names.resize(listed);
  for (const absl::string_view view : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    const std::string name(view);
    std::string value(XATTR_SIZE_MAX, '\0');
    const ssize_t size = ::lgetxattr(from.c_str(), name.c_str(), value.data(), value.size());
    if (size < 0) return ErrnoStatus(errno, absl::StrCat("lgetxattr ", name, " of"), from);
    if (::lsetxattr(to.c_str(), name.c_str(), value.data(), size, 0) != 0 &&
        !MayLack(name, errno)) {
      return ErrnoStatus(errno, absl::StrCat("lsetxattr ", name, " of"), to);
    }
  }
  return absl::OkStatus();
}

// Owner before mode (chown clears the set-id bits) and before file capabilities, times at the end.
absl::Status CopyMetadata(BorrowedFd from_directory, BorrowedFd to_directory,
                          const std::string& name, const struct stat& info) {
  const bool is_link = S_ISLNK(info.st_mode);
  if (::fchownat(to_directory.get(), name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) !=
      0) {
    return ErrnoStatus(errno, "chown", name);
  }
  if (!is_link && ::fchmodat(to_directory.get(), name.c_str(), info.st_mode & 07777, 0) != 0) {
    return ErrnoStatus(errno, "chmod", name);
  }
  BERTH_RETURN_IF_ERROR(
      CopyAttributes(ProcPath(from_directory, name), ProcPath(to_directory, name)));
  const struct timespec times[2] = {info.st_atim, info.st_mtim};
  if (::utimensat(to_directory.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "utimensat", name);
  }
  return absl::OkStatus();
}

class TreeCopier {
 public:
  explicit TreeCopier(BorrowedFd target_root) : target_root_(target_root) {}

  absl::Status CopyDirectory(BorrowedFd from, BorrowedFd to, const std::string& path) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(from));
    for (const std::string& name : names) {
      const std::string child = path.empty() ? name : absl::StrCat(path, "/", name);
      BERTH_RETURN_IF_ERROR(CopyEntry(from, to, name, child)) << child;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status CopyEntry(BorrowedFd from, BorrowedFd to, const std::string& name,
                         const std::string& path) {
    struct stat info;
    if (::fstatat(from.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "stat", name);
    }
    if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
      const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
      if (!is_new) return LinkTo(first->second, to, name);
    }
    BERTH_RETURN_IF_ERROR(Make(from, to, name, path, info));
    return CopyMetadata(from, to, name, info);
  }

  absl::Status LinkTo(const std::string& first, BorrowedFd to, const std::string& name) {
    if (::linkat(target_root_.get(), first.c_str(), to.get(), name.c_str(), 0) != 0) {
      return ErrnoStatus(errno, "link", first);
    }
    return absl::OkStatus();
  }

  absl::Status Make(BorrowedFd from, BorrowedFd to, const std::string& name,
                    const std::string& path, const struct stat& info) {
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        return MakeDirectory(from, to, name, path);
      case S_IFREG:
        return MakeFile(from, to, name, info);
      case S_IFLNK:
        return MakeLink(from, to, name, info);
      default:
        if (::mknodat(to.get(), name.c_str(), info.st_mode, info.st_rdev) != 0) {
          return ErrnoStatus(errno, "mknod", name);
        }
        return absl::OkStatus();
    }
  }

  absl::Status MakeDirectory(BorrowedFd from, BorrowedFd to, const std::string& name,
                             const std::string& path) {
    if (::mkdirat(to.get(), name.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdir", name);
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    BERTH_ASSIGN_OR_RETURN(const UniqueFd source, OpenAt(from, name, kFlags));
    BERTH_ASSIGN_OR_RETURN(const UniqueFd target, OpenAt(to, name, kFlags));
    return CopyDirectory(source, target, path);
  }

  static absl::Status MakeFile(BorrowedFd from, BorrowedFd to, const std::string& name,
                               const struct stat& info) {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd source,
                           OpenAt(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    BERTH_ASSIGN_OR_RETURN(const UniqueFd target,
                           OpenAt(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    return CopyContents(source, target, info.st_size);
  }

  static absl::Status MakeLink(BorrowedFd from, BorrowedFd to, const std::string& name,
                               const struct stat& info) {
    std::string goal(info.st_size + 1, '\0');
    const ssize_t length = ::readlinkat(from.get(), name.c_str(), goal.data(), goal.size());
    if (length < 0) return ErrnoStatus(errno, "readlink", name);
    goal.resize(length);
    if (::symlinkat(goal.c_str(), to.get(), name.c_str()) != 0) {
      return ErrnoStatus(errno, "symlink", name);
    }
    return absl::OkStatus();
  }

  const BorrowedFd target_root_;
  // Where the first link of each file with several was made, relative to the target's root.
  absl::flat_hash_map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

absl::Status CopyTree(BorrowedFd source, BorrowedFd target) {
  struct stat info;
  if (::fstat(source.get(), &info) != 0) return ErrnoStatus(errno, "fstat");
  BERTH_RETURN_IF_ERROR(TreeCopier(target).CopyDirectory(source, target, ""));
  return CopyMetadata(source, target, ".", info);
}

}  // namespace berth::snapshots
