#include "snapshotter/layer/entry.h"

#include <sys/stat.h>

#include "absl/strings/match.h"

namespace berth::layer {

std::optional<EntryType> EntryTypeOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return EntryType::kFile;
    case S_IFDIR:
      return EntryType::kDirectory;
    case S_IFLNK:
      return EntryType::kSymlink;
    case S_IFCHR:
      return EntryType::kCharDevice;
    case S_IFBLK:
      return EntryType::kBlockDevice;
    case S_IFIFO:
      return EntryType::kFifo;
    default:
      return std::nullopt;
  }
}

bool IsImageXattr(absl::string_view name) {
  return !absl::StartsWith(name, "trusted.overlay.") && !absl::StartsWith(name, "user.overlay.") &&
         name != "security.selinux" && name != "security.ima" && name != "security.evm" &&
         !absl::StartsWith(name, "security.SMACK64");
}

}  // namespace berth::layer
