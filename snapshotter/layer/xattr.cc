#include "snapshotter/layer/xattr.h"

#include <errno.h>
#include <sys/xattr.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/entry.h"

namespace berth::layer {
namespace {

// The kernel's limits: 64 KiB for a value and for the list of names.
constexpr size_t kMaxBytes = 64 * 1024;

}  // namespace

std::string ProcPath(BorrowedFd file) { return absl::StrCat("/proc/self/fd/", file.get()); }

absl::StatusOr<std::string> ReadXattr(BorrowedFd file, absl::string_view name) {
  const std::string path = ProcPath(file);
  const std::string name_text(name);
  std::string value(256, '\0');
  ssize_t size = ::getxattr(path.c_str(), name_text.c_str(), value.data(), value.size());
  if (size < 0 && errno == ERANGE) {
    value.resize(kMaxBytes);
    size = ::getxattr(path.c_str(), name_text.c_str(), value.data(), value.size());
  }
  if (size < 0) {
    if (errno == ENODATA || errno == EOPNOTSUPP) {
      return absl::NotFoundError(absl::StrCat("no attribute ", name));
    }
    return ErrnoStatus(errno, "getxattr", name);
  }
  value.resize(static_cast<size_t>(size));
  return value;
}

absl::StatusOr<Xattrs> ReadImageXattrs(BorrowedFd file) {
  const std::string path = ProcPath(file);
  std::string names(1024, '\0');
  ssize_t size = ::listxattr(path.c_str(), names.data(), names.size());
  if (size < 0 && errno == ERANGE) {
    names.resize(kMaxBytes);
    size = ::listxattr(path.c_str(), names.data(), names.size());
  }
  if (size < 0) {
    if (errno == EOPNOTSUPP) return Xattrs();
    return ErrnoStatus(errno, "listxattr");
  }
  names.resize(static_cast<size_t>(size));
  Xattrs xattrs;
  for (absl::string_view name : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    if (!IsImageXattr(name)) continue;
    absl::StatusOr<std::string> value = ReadXattr(file, name);
    if (absl::IsNotFound(value.status())) continue;  // gone since it was listed
    BERTH_RETURN_IF_ERROR(value);
    xattrs.emplace_back(std::string(name), *std::move(value));
  }
  std::sort(xattrs.begin(), xattrs.end());
  return xattrs;
}

absl::Status SetXattr(BorrowedFd file, absl::string_view name, absl::string_view value) {
  const std::string name_text(name);
  if (::setxattr(ProcPath(file).c_str(), name_text.c_str(), value.data(), value.size(), 0) != 0) {
    return ErrnoStatus(errno, "setxattr", name);
  }
  return absl::OkStatus();
}

absl::Status SetXattrs(BorrowedFd file, const Xattrs& xattrs) {
  for (const auto& [name, value] : xattrs) {
    if (!IsImageXattr(name)) continue;
    const absl::Status status = SetXattr(file, name, value);
    if (status.ok()) continue;
    const int error = ErrnoOf(status);
    if (name == "security.capability" && error == EOPNOTSUPP) {
      return Annotate(status,
                      "the filesystem of the snapshots has no file capabilities, and the image "
                      "needs them; keep snapshots on ext4, xfs or btrfs");
    }
    // user.* exists on files and directories only, and the kernel says EPERM for the others.
    if (error == EOPNOTSUPP || (error == EPERM && absl::StartsWith(name, "user."))) continue;
    return status;
  }
  return absl::OkStatus();
}

}  // namespace berth::layer
