#include "snapshotter/overlay/overlay_features.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {
namespace {

constexpr char kIndexParameter[] = "/sys/module/overlay/parameters/index";

// The first user namespace maps all 2^32 - 1 ids to themselves; every other map is a real one.
absl::StatusOr<bool> IsInUserNamespace() {
  BERTH_ASSIGN_OR_RETURN(const std::string map, ReadFile("/proc/self/uid_map"));
  const std::vector<absl::string_view> fields =
      absl::StrSplit(map, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  return fields != std::vector<absl::string_view>{"0", "0", "4294967295"};
}

absl::StatusOr<bool> IsOnTmpfs(const std::string& root) {
  struct statfs info;
  if (::statfs(root.c_str(), &info) != 0) return ErrnoStatus(errno, "statfs", root);
  return info.f_type == TMPFS_MAGIC;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> RequiredOverlayOptions(absl::string_view root) {
  std::vector<std::string> options;
  if (::access(kIndexParameter, F_OK) == 0) options.push_back("index=off");
  BERTH_ASSIGN_OR_RETURN(const bool in_user_namespace, IsInUserNamespace());
  if (in_user_namespace) {
    // tmpfs had no user.* attributes before Linux 6.6, and needs none of overlayfs's there.
    BERTH_ASSIGN_OR_RETURN(const bool on_tmpfs, IsOnTmpfs(std::string(root)));
    if (!on_tmpfs) options.push_back("userxattr");
  }
  return options;
}

}  // namespace berth::snapshots
