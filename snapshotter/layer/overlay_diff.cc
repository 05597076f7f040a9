#include "snapshotter/layer/overlay_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

constexpr int kMaxDepth = 1024;

// The value of trusted.overlay.<name>, or of user.overlay.<name>; empty when there is neither.
absl::StatusOr<std::string> OverlayXattr(BorrowedFd file, absl::string_view name) {
  for (absl::string_view prefix : {"trusted.overlay.", "user.overlay."}) {
    absl::StatusOr<std::string> value = ReadXattr(file, absl::StrCat(prefix, name));
    if (value.ok()) return value->empty() ? std::string("set") : *value;
    if (!absl::IsNotFound(value.status())) return value.status();
  }
  return std::string();
}

absl::Status NeedsComparison(absl::string_view path, absl::string_view why) {
  return absl::AbortedError(
      absl::StrCat("\"", path, "\" is ", why, ": the mounted trees must be compared"));
}

class Walker {
 public:
  Walker(const std::vector<UniqueFd>& lowers, LayerStream& stream)
      : lowers_(lowers), stream_(stream) {}

  absl::Status Walk(BorrowedFd directory, const std::string& path, int depth) {
    if (depth > kMaxDepth) {
      return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" is nested too deeply"));
    }
    BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      struct stat info;
      if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;  // a running container removed it
        return ErrnoStatus(errno, "fstatat", JoinPath(path, name));
      }
      BERTH_RETURN_IF_ERROR(Visit(directory, path, name, info, depth));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Visit(BorrowedFd directory, const std::string& directory_path,
                     const std::string& name, const struct stat& info, int depth) {
    const std::string path = JoinPath(directory_path, name);
    if (S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0)) {
      return stream_.AddWhiteout(directory_path, name);
    }
    if (S_ISREG(info.st_mode)) {
      BERTH_RETURN_IF_ERROR(CheckFile(directory, path, name));
    }
    if (!S_ISDIR(info.st_mode)) return stream_.AddFile(path, directory, name, info);

    BERTH_ASSIGN_OR_RETURN(const UniqueFd child,
                           OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    BERTH_ASSIGN_OR_RETURN(const std::string redirect, OverlayXattr(child, "redirect"));
    if (!redirect.empty()) return NeedsComparison(path, "a renamed directory");
    BERTH_ASSIGN_OR_RETURN(const std::string opaque, OverlayXattr(child, "opaque"));
    // "x" announces whiteouts that are attributes of regular files (nested overlays).
    if (opaque == "x") return NeedsComparison(path, "a directory with whiteouts of another form");
    BERTH_RETURN_IF_ERROR(stream_.AddFile(path, directory, name, info));
    // The kernel marks every new directory; the mark matters only above an older one.
    if (opaque == "y" && IsBelow(path)) {
      BERTH_RETURN_IF_ERROR(stream_.AddOpaque(path));
    }
    return Walk(child, path, depth + 1);
  }

  absl::Status CheckFile(BorrowedFd directory, const std::string& path, const std::string& name) {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(directory, name, O_PATH | O_NOFOLLOW));
    BERTH_ASSIGN_OR_RETURN(const std::string metacopy, OverlayXattr(file, "metacopy"));
    if (!metacopy.empty()) return NeedsComparison(path, "a file whose data is in a layer below");
    return absl::OkStatus();
  }

  bool IsBelow(const std::string& path) const {
    for (const UniqueFd& lower : lowers_) {
      const absl::StatusOr<UniqueFd> found = OpenInRoot(lower, path, O_PATH | O_DIRECTORY);
      if (found.ok()) return true;
      if (ErrnoOf(found.status()) != ENOENT) return false;  // a file or whiteout covers the rest
    }
    return false;
  }

  const std::vector<UniqueFd>& lowers_;
  LayerStream& stream_;
};

}  // namespace

absl::Status WriteOverlayDiff(BorrowedFd upper, const std::vector<UniqueFd>& lowers,
                              LayerStream& stream) {
  return Walker(lowers, stream).Walk(upper, "", 0);
}

}  // namespace berth::layer
