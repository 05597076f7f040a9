#include "snapshotter/layer/layer_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

absl::StatusOr<std::string> ReadLink(BorrowedFd directory, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = ::readlinkat(directory.get(), name.c_str(), target.data(), target.size());
  if (size < 0) return ErrnoStatus(errno, "readlink", name);
  target.resize(static_cast<size_t>(size));
  return target;
}

// A descriptor for reading attributes and, of a regular file, data. O_PATH for what would act on
// being opened.
absl::StatusOr<UniqueFd> OpenForReading(BorrowedFd directory, const std::string& name,
                                        EntryType type) {
  const bool opens = type == EntryType::kFile || type == EntryType::kDirectory;
  return OpenAt(directory, name, (opens ? O_RDONLY | O_NONBLOCK : O_PATH) | O_NOFOLLOW);
}

}  // namespace

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  return directory.empty() ? std::string(name) : absl::StrCat(directory, "/", name);
}

absl::Status LayerStream::AddFile(const std::string& path, BorrowedFd directory,
                                  const std::string& name, const struct stat& info) {
  if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed)) {
    return absl::CancelledError("the diff was cancelled");
  }
  if (absl::StartsWith(name, kWhiteoutPrefix)) {
    return absl::FailedPreconditionError(
        absl::StrCat("\"", path,
                     "\" cannot be stored in a layer: a name that begins with .wh. means a deleted "
                     "file there; rename or remove it"));
  }
  const std::optional<EntryType> type = EntryTypeOf(info.st_mode);
  if (!type.has_value()) return absl::OkStatus();

  Entry entry;
  entry.path = path;
  entry.type = *type;
  entry.permissions = info.st_mode & 07777;
  entry.uid = info.st_uid;
  entry.gid = info.st_gid;
  entry.device = info.st_rdev;
  entry.modified = Limit(info.st_mtim);
  if (entry.type != EntryType::kDirectory && info.st_nlink > 1) {
    const auto [first, is_new] = first_names_.try_emplace({info.st_dev, info.st_ino}, path);
    if (!is_new) {
      entry.type = EntryType::kHardlink;
      entry.link_target = first->second;
      return tar_.AddHeader(entry);
    }
  }
  if (entry.type == EntryType::kSymlink) {
    BERTH_ASSIGN_OR_RETURN(entry.link_target, ReadLink(directory, name));
    return tar_.AddHeader(entry);
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenForReading(directory, name, entry.type),
                         _ << "read \"" << path << "\"");
  BERTH_ASSIGN_OR_RETURN(entry.xattrs, ReadImageXattrs(file), _ << "read \"" << path << "\"");
  if (entry.type != EntryType::kFile) return tar_.AddHeader(entry);
  entry.size_bytes = static_cast<uint64_t>(info.st_size);
  BERTH_RETURN_IF_ERROR(tar_.AddFile(entry, file)) << "\"" << path << "\"";
  return absl::OkStatus();
}

absl::Status LayerStream::AddWhiteout(absl::string_view directory_path, absl::string_view name) {
  return AddMarker(directory_path, absl::StrCat(kWhiteoutPrefix, name));
}

absl::Status LayerStream::AddOpaque(absl::string_view directory_path) {
  return AddMarker(directory_path, kOpaqueMarker);
}

absl::Status LayerStream::AddMarker(absl::string_view directory_path, absl::string_view marker) {
  Entry entry;
  entry.path = JoinPath(directory_path, marker);
  if (options_.latest_time.has_value()) {
    entry.modified = absl::ToTimespec(*options_.latest_time);
  }
  return tar_.AddHeader(entry);
}

struct timespec LayerStream::Limit(struct timespec time) const {
  if (!options_.latest_time.has_value()) return time;
  return absl::TimeFromTimespec(time) > *options_.latest_time
             ? absl::ToTimespec(*options_.latest_time)
             : time;
}

}  // namespace berth::layer
