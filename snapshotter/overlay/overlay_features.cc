#include "snapshotter/overlay/overlay_features.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "base/os/unique_fd.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {
namespace {

// fsconfig(2) takes strings of up to 255 bytes.
constexpr size_t kMaxValueBytes = 255;
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

absl::Status Configure(BorrowedFd context, const std::string& option) {
  const size_t equals = option.find('=');
  const bool has_value = equals != std::string::npos;
  const std::string value = has_value ? option.substr(equals + 1) : "";
  if (::fsconfig(context.get(), has_value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
                 option.substr(0, equals).c_str(), has_value ? value.c_str() : nullptr, 0) != 0) {
    return ErrnoStatus(errno, "overlay option", option);
  }
  return absl::OkStatus();
}

absl::Status MakeOverlay(const std::string& directory, const std::vector<std::string>& options) {
  UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context.valid()) return ErrnoStatus(errno, "fsopen", "overlay");
  for (const std::string& option : options) {
    BERTH_RETURN_IF_ERROR(Configure(context, option));
  }
  for (const char* name : {"lower", "upper", "work"}) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (::mkdir(path.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdir", path);
    BERTH_RETURN_IF_ERROR(Configure(context, absl::StrCat(name, "dir=", path)));
  }
  // Without it, dropping the overlay would first write the whole filesystem to the disk.
  BERTH_RETURN_IF_ERROR(Configure(context, "volatile"));
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return ErrnoStatus(errno, "make an overlay below", directory);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ProbeOverlay(const std::string& root, const std::vector<std::string>& options) {
  const std::string directory = absl::StrCat(root, "/probe");
  if (directory.size() + sizeof("/upper") > kMaxValueBytes) return absl::OkStatus();
  const auto clear = [&] { return RemoveTreeAt(BorrowedFd(AT_FDCWD), directory); };
  BERTH_RETURN_IF_ERROR(clear());  // of a probe that was killed
  if (::mkdir(directory.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdir", directory);
  const absl::Cleanup remove = [&] { clear().IgnoreError(); };  // the next probe tries again
  const absl::Status made = MakeOverlay(directory, options);
  if (made.ok()) return made;
  return absl::FailedPreconditionError(
      absl::StrCat("overlayfs does not work below \"", root, "\": ", made.message(),
                   "; it needs the kernel's overlay module and a local filesystem (ext4, xfs, "
                   "btrfs) that is no overlay itself: choose another root, or the native "
                   "snapshotter"));
}

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
