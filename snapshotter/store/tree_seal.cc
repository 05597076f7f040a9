#include "snapshotter/store/tree_seal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/store/tree_walk.h"

namespace berth::snapshots {
namespace {

constexpr int64_t kBlockBytes = 512;  // unit of st_blocks, whatever the filesystem's own is

// syncfs(2) costs one flush of the disk, each fsync(2) costs one too; but syncfs also waits for all
// that others have written. So single files are synced only where they are few and others have
// written much.
constexpr int64_t kSmallTreeInodes = 32;
constexpr int64_t kMuchDirtyKib = 64 << 10;

// What the machine has yet to write; 0 when the kernel does not say.
int64_t DirtyKib() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/meminfo");
  if (!text.ok()) return 0;
  int64_t total = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::ByAnyChar(": "), absl::SkipEmpty());
    int64_t kib = 0;
    if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &kib)) continue;
    if (fields[0] == "Dirty" || fields[0] == "Writeback") total += kib;
  }
  return total;
}

absl::Status SyncOne(BorrowedFd directory, const std::string& name, int flags) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(directory, name, flags | O_NOFOLLOW));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "fsync", name);
  return absl::OkStatus();
}

// Links, devices and FIFOs hold no data: they are durable with the directory that names them.
absl::Status SyncEach(BorrowedFd root) {
  BERTH_RETURN_IF_ERROR(
      WalkTree(root, [](BorrowedFd directory, const std::string& name, const struct stat& info) {
        if (S_ISDIR(info.st_mode)) return SyncOne(directory, name, O_RDONLY | O_DIRECTORY);
        if (S_ISREG(info.st_mode)) return SyncOne(directory, name, O_RDONLY | O_NONBLOCK);
        return absl::OkStatus();
      }));
  return SyncOne(root, ".", O_RDONLY | O_DIRECTORY);
}

}  // namespace

absl::StatusOr<Usage> MeasureTree(BorrowedFd root) {
  struct stat top;
  if (::fstat(root.get(), &top) != 0) return ErrnoStatus(errno, "fstat");
  Usage usage{top.st_blocks * kBlockBytes, 1};
  absl::flat_hash_set<std::pair<dev_t, ino_t>> seen_links;
  BERTH_RETURN_IF_ERROR(
      WalkTree(root, [&](BorrowedFd directory, const std::string& name, const struct stat& info) {
        const bool has_links = !S_ISDIR(info.st_mode) && info.st_nlink > 1;
        if (has_links && !seen_links.emplace(info.st_dev, info.st_ino).second) {
          return absl::OkStatus();
        }
        usage.size_bytes += info.st_blocks * kBlockBytes;
        ++usage.inodes;
        return absl::OkStatus();
      }));
  return usage;
}

absl::Status SealTree(BorrowedFd root, const Usage& usage, absl::Span<const BorrowedFd> above) {
  if (usage.inodes > kSmallTreeInodes || DirtyKib() < kMuchDirtyKib) {
    if (::syncfs(root.get()) != 0) return ErrnoStatus(errno, "syncfs");
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(SyncEach(root));
  for (const BorrowedFd directory : above) {
    if (::fsync(directory.get()) != 0) return ErrnoStatus(errno, "fsync", "directory of a layer");
  }
  return absl::OkStatus();
}

}  // namespace berth::snapshots
