#include "server/engine/root_diff.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr int kMaxDepth = 256;
// Where files of the host are mounted; what lies below the mounts was made for them, and is no
// change of the container's.
constexpr const char* kMountPoints[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf",
                                        "/sbin/docker-init"};

bool IsMountPoint(const std::string& path, const struct stat& status) {
  return S_ISREG(status.st_mode) && status.st_size == 0 &&
         std::find(std::begin(kMountPoints), std::end(kMountPoints), path) !=
             std::end(kMountPoints);
}

bool IsWhiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(0, 0);
}

class Differ {
 public:
  explicit Differ(std::vector<UniqueFd> lower) : lower_(std::move(lower)) {}

  absl::Status Walk(BorrowedFd directory, const std::string& path, int depth);
  v1::DiffContainerResponse Take() { return std::move(response_); }

 private:
  bool IsBelow(const std::string& path) const;

  const std::vector<UniqueFd> lower_;
  v1::DiffContainerResponse response_;
  bool skipped_ = false;  // in the directory that was walked last
};

bool Differ::IsBelow(const std::string& path) const {
  for (const UniqueFd& layer : lower_) {
    const auto found = OpenInRoot(layer, path, O_PATH | O_NOFOLLOW);
    if (!found.ok()) continue;
    struct stat status = {};
    return ::fstat(found->get(), &status) == 0 && !IsWhiteout(status);
  }
  return false;
}

absl::Status Differ::Walk(BorrowedFd directory, const std::string& path, int depth) {
  if (depth > kMaxDepth) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    struct stat status = {};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const std::string full = absl::StrCat(path, "/", name);
    if (IsMountPoint(full, status)) {
      skipped_ = true;
      continue;
    }
    const int at = response_.changes_size();
    v1::DiffContainerResponse::Change& change = *response_.add_changes();
    change.set_path(full);
    if (IsWhiteout(status)) {
      change.set_kind(v1::DiffContainerResponse::KIND_DELETED);
      continue;
    }
    change.set_kind(IsBelow(full) ? v1::DiffContainerResponse::KIND_CHANGED
                                  : v1::DiffContainerResponse::KIND_ADDED);
    if (!S_ISDIR(status.st_mode)) continue;
    skipped_ = false;
    BERTH_ASSIGN_OR_RETURN(const UniqueFd child,
                           OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    BERTH_RETURN_IF_ERROR(Walk(child, full, depth + 1));
    // A directory that changed by nothing but a mount point that was made in it.
    if (std::exchange(skipped_, false) && response_.changes_size() == at + 1) {
      response_.mutable_changes()->RemoveLast();
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::DiffContainerResponse> DiffRoot(const std::vector<snapshots::Mount>& mounts) {
  std::string upper;
  std::vector<UniqueFd> lower;
  if (mounts.size() == 1 && mounts[0].type == "overlay") {
    for (absl::string_view option : mounts[0].options) {
      if (absl::ConsumePrefix(&option, "upperdir=")) upper = std::string(option);
      if (!absl::ConsumePrefix(&option, "lowerdir=")) continue;
      for (absl::string_view layer : absl::StrSplit(option, ':', absl::SkipEmpty())) {
        BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(layer, O_PATH | O_DIRECTORY));
        lower.push_back(std::move(fd));
      }
    }
  }
  if (upper.empty()) {
    return absl::UnimplementedError(
        "changes are known of containers on the overlayfs snapshotter and an image only");
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd root, OpenFile(upper, O_RDONLY | O_DIRECTORY));
  Differ differ(std::move(lower));
  BERTH_RETURN_IF_ERROR(differ.Walk(root, "", 0));
  return differ.Take();
}

}  // namespace berth::engine
