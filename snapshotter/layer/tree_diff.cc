#include "snapshotter/layer/tree_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

constexpr int kMaxDepth = 1024;
constexpr size_t kCompareBytes = 128 * 1024;
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

absl::StatusOr<std::optional<struct stat>> Look(BorrowedFd directory, const std::string& name) {
  if (!directory.valid()) return std::nullopt;
  struct stat info;
  if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno == ENOENT) return std::nullopt;
  return ErrnoStatus(errno, "fstatat", name);
}

absl::StatusOr<bool> SameLink(BorrowedFd a, BorrowedFd b, const std::string& name) {
  char target_a[PATH_MAX];
  char target_b[PATH_MAX];
  const ssize_t size_a = ::readlinkat(a.get(), name.c_str(), target_a, sizeof(target_a));
  const ssize_t size_b = ::readlinkat(b.get(), name.c_str(), target_b, sizeof(target_b));
  if (size_a < 0 || size_b < 0) return ErrnoStatus(errno, "readlink", name);
  return size_a == size_b && std::memcmp(target_a, target_b, static_cast<size_t>(size_a)) == 0;
}

absl::StatusOr<bool> SameData(BorrowedFd a, BorrowedFd b, uint64_t size) {
  std::vector<char> data_a(kCompareBytes);
  std::vector<char> data_b(kCompareBytes);
  for (uint64_t offset = 0; offset < size;) {
    const size_t want = std::min<uint64_t>(size - offset, kCompareBytes);
    const ssize_t got_a = ::pread(a.get(), data_a.data(), want, static_cast<off_t>(offset));
    if (got_a < 0) return ErrnoStatus(errno, "pread");
    if (got_a == 0) return false;
    const ssize_t got_b =
        ::pread(b.get(), data_b.data(), static_cast<size_t>(got_a), static_cast<off_t>(offset));
    if (got_b < 0) return ErrnoStatus(errno, "pread");
    if (got_a != got_b ||
        std::memcmp(data_a.data(), data_b.data(), static_cast<size_t>(got_a)) != 0) {
      return false;
    }
    offset += static_cast<uint64_t>(got_a);
  }
  return true;
}

absl::StatusOr<bool> SameFile(BorrowedFd older, BorrowedFd newer, const std::string& name,
                              const struct stat& old_info, const struct stat& new_info) {
  if (old_info.st_mode != new_info.st_mode || old_info.st_uid != new_info.st_uid ||
      old_info.st_gid != new_info.st_gid || old_info.st_rdev != new_info.st_rdev ||
      old_info.st_mtim.tv_sec != new_info.st_mtim.tv_sec ||
      old_info.st_mtim.tv_nsec != new_info.st_mtim.tv_nsec) {
    return false;
  }
  if (S_ISLNK(new_info.st_mode)) return SameLink(older, newer, name);
  const bool is_file = S_ISREG(new_info.st_mode);
  if (is_file && old_info.st_size != new_info.st_size) return false;
  const int flags = (is_file ? O_RDONLY : O_PATH) | O_NOFOLLOW;
  BERTH_ASSIGN_OR_RETURN(const UniqueFd old_file, OpenAt(older, name, flags));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd new_file, OpenAt(newer, name, flags));
  BERTH_ASSIGN_OR_RETURN(const Xattrs old_xattrs, ReadImageXattrs(old_file));
  BERTH_ASSIGN_OR_RETURN(const Xattrs new_xattrs, ReadImageXattrs(new_file));
  if (old_xattrs != new_xattrs) return false;
  if (is_file && new_info.st_mtim.tv_nsec == 0) {
    return SameData(old_file, new_file, static_cast<uint64_t>(new_info.st_size));
  }
  return true;
}

class Comparison {
 public:
  explicit Comparison(LayerStream& stream) : stream_(stream) {}

  absl::Status Compare(BorrowedFd older, BorrowedFd newer, const std::string& path, int depth) {
    if (depth > kMaxDepth) {
      return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" is nested too deeply"));
    }
    std::set<std::string> names;
    BERTH_RETURN_IF_ERROR(AddNames(newer, names));
    if (older.valid()) {
      BERTH_RETURN_IF_ERROR(AddNames(older, names));
    }
    for (const std::string& name : names) {
      BERTH_ASSIGN_OR_RETURN(const std::optional<struct stat> old_info, Look(older, name));
      BERTH_ASSIGN_OR_RETURN(const std::optional<struct stat> new_info, Look(newer, name));
      if (!new_info.has_value()) {
        if (!old_info.has_value()) continue;
        BERTH_RETURN_IF_ERROR(AddParents());
        BERTH_RETURN_IF_ERROR(stream_.AddWhiteout(path, name));
        continue;
      }
      const Pair pair = {older, newer, path, name, old_info, *new_info};
      BERTH_RETURN_IF_ERROR(S_ISDIR(new_info->st_mode) ? VisitDirectory(pair, depth)
                                                       : VisitFile(pair));
    }
    return absl::OkStatus();
  }

 private:
  struct Pair {
    BorrowedFd older;
    BorrowedFd newer;
    const std::string& directory_path;
    const std::string& name;
    const std::optional<struct stat>& old_info;
    const struct stat& new_info;
  };
  // A directory on the way to where the walk is; unchanged ones are written only when something
  // below them is.
  struct Parent {
    const std::string path;
    BorrowedFd directory;  // that holds it
    const std::string name;
    const struct stat info;
    bool is_written;
  };

  static absl::Status AddNames(BorrowedFd directory, std::set<std::string>& names) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> found, ListDirectory(directory));
    names.insert(found.begin(), found.end());
    return absl::OkStatus();
  }

  absl::Status AddParents() {
    for (Parent& parent : parents_) {
      if (parent.is_written) continue;
      parent.is_written = true;
      BERTH_RETURN_IF_ERROR(
          stream_.AddFile(parent.path, parent.directory, parent.name, parent.info));
    }
    return absl::OkStatus();
  }

  absl::Status VisitFile(const Pair& pair) {
    if (pair.old_info.has_value() && !S_ISDIR(pair.old_info->st_mode)) {
      BERTH_ASSIGN_OR_RETURN(const bool same, SameFile(pair.older, pair.newer, pair.name,
                                                       *pair.old_info, pair.new_info));
      if (same) return absl::OkStatus();
    }
    BERTH_RETURN_IF_ERROR(AddParents());
    return stream_.AddFile(JoinPath(pair.directory_path, pair.name), pair.newer, pair.name,
                           pair.new_info);
  }

  absl::Status VisitDirectory(const Pair& pair, int depth) {
    const bool was_directory = pair.old_info.has_value() && S_ISDIR(pair.old_info->st_mode);
    parents_.push_back(Parent{JoinPath(pair.directory_path, pair.name), pair.newer, pair.name,
                              pair.new_info, false});
    bool same = false;
    if (was_directory) {
      BERTH_ASSIGN_OR_RETURN(
          same, SameFile(pair.older, pair.newer, pair.name, *pair.old_info, pair.new_info));
    }
    if (!same) {
      BERTH_RETURN_IF_ERROR(AddParents());
    }
    BERTH_ASSIGN_OR_RETURN(const UniqueFd newer, OpenAt(pair.newer, pair.name, kOpenDirectory));
    UniqueFd older;
    if (was_directory) {
      BERTH_ASSIGN_OR_RETURN(older, OpenAt(pair.older, pair.name, kOpenDirectory));
    }
    const std::string path = parents_.back().path;
    BERTH_RETURN_IF_ERROR(Compare(older, newer, path, depth + 1));
    parents_.pop_back();
    return absl::OkStatus();
  }

  LayerStream& stream_;
  std::vector<Parent> parents_;
};

}  // namespace

absl::Status WriteTreeDiff(BorrowedFd older, BorrowedFd newer, LayerStream& stream) {
  return Comparison(stream).Compare(older, newer, "", 0);
}

}  // namespace berth::layer
