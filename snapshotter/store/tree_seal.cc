#include "snapshotter/store/tree_seal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/store/tree_walk.h"

namespace berth::snapshots {
namespace {

constexpr int64_t kBlockBytes = 512;  // unit of st_blocks, whatever the filesystem's own is

// Beyond this many inodes one syncfs is cheaper than the journal commits of single files.
constexpr int64_t kSmallTreeInodes = 32;

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

absl::Status SealTree(BorrowedFd root, const Usage& usage) {
  if (usage.inodes <= kSmallTreeInodes) return SyncEach(root);
  if (::syncfs(root.get()) != 0) return ErrnoStatus(errno, "syncfs");
  return absl::OkStatus();
}

}  // namespace berth::snapshots
