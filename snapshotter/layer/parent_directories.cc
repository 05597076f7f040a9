#include "snapshotter/layer/parent_directories.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/copy_up.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY;

}  // namespace

ParentDirectories::ParentDirectories(BorrowedFd root, std::vector<UniqueFd> lowers, OnMade on_made)
    : root_(root), lowers_(std::move(lowers)), on_made_(std::move(on_made)) {}

absl::StatusOr<UniqueFd> ParentDirectories::Open(absl::string_view path) const {
  return OpenInRoot(root_, path.empty() ? "." : path, kOpenDirectory);
}

absl::StatusOr<BorrowedFd> ParentDirectories::OpenOrMake(absl::string_view path) {
  if (path.empty()) return root_;
  if (is_cached_ && cached_path_ == path) return BorrowedFd(cached_);
  absl::StatusOr<UniqueFd> directory = Open(path);
  if (!directory.ok() && ErrnoOf(directory.status()) == ENOENT) directory = Make(path);
  if (!directory.ok() && ErrnoOf(directory.status()) == ENOTDIR) {
    return absl::InvalidArgumentError(
        absl::StrCat("a part of its directory \"", path, "\" is a file in this layer"));
  }
  BERTH_RETURN_IF_ERROR(directory.status()) << "open its directory \"" << path << "\"";
  cached_ = *std::move(directory);
  cached_path_ = std::string(path);
  is_cached_ = true;
  return BorrowedFd(cached_);
}

absl::StatusOr<UniqueFd> ParentDirectories::Make(absl::string_view path) {
  UniqueFd current;
  for (size_t end = 0; end < path.size();) {
    const size_t begin = end == 0 ? 0 : end + 1;
    end = path.find('/', begin);
    if (end == absl::string_view::npos) end = path.size();
    const std::string prefix(path.substr(0, end));
    absl::StatusOr<UniqueFd> next = Open(prefix);
    if (!next.ok() && ErrnoOf(next.status()) == ENOENT) {
      next = MakeOne(current.valid() ? BorrowedFd(current) : root_, prefix,
                     path.substr(begin, end - begin));
    }
    BERTH_RETURN_IF_ERROR(next.status());
    current = *std::move(next);
  }
  return current;
}

absl::StatusOr<UniqueFd> ParentDirectories::MakeOne(BorrowedFd parent, const std::string& path,
                                                    absl::string_view name) {
  const std::string name_text(name);
  if (::mkdirat(parent.get(), name_text.c_str(), 0755) != 0) {
    if (errno == EEXIST) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", path, "\" is a link that leads to nothing inside the layer"));
    }
    return ErrnoStatus(errno, "mkdir", path);
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd made, OpenAt(parent, name, kOpenDirectory | O_NOFOLLOW));
  if (::fchmod(made.get(), 0755) != 0) return ErrnoStatus(errno, "fchmod", path);
  BERTH_ASSIGN_OR_RETURN(const Origin origin, CopyFromBelow(path, made));
  BERTH_RETURN_IF_ERROR(on_made_(path, made, origin));
  return made;
}

absl::StatusOr<ParentDirectories::Origin> ParentDirectories::CopyFromBelow(
    const std::string& path, BorrowedFd directory) const {
  const absl::StatusOr<UniqueFd> found = OpenDirectoryBelow(lowers_, path);
  if (!found.ok()) return Origin::kNowhere;
  struct stat info;
  if (::fstat(found->get(), &info) != 0) return ErrnoStatus(errno, "fstat", path);
  if (::fchown(directory.get(), info.st_uid, info.st_gid) != 0) {
    return ErrnoStatus(errno, "fchown", path);
  }
  if (::fchmod(directory.get(), info.st_mode & 07777) != 0) {
    return ErrnoStatus(errno, "fchmod", path);
  }
  BERTH_ASSIGN_OR_RETURN(const Xattrs xattrs, ReadImageXattrs(*found));
  BERTH_RETURN_IF_ERROR(SetXattrs(directory, xattrs));
  const struct timespec times[2] = {info.st_mtim, info.st_mtim};
  if (::futimens(directory.get(), times) != 0) return ErrnoStatus(errno, "futimens", path);
  return Origin::kLayerBelow;
}

}  // namespace berth::layer
