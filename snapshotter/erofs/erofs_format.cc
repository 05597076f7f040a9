#include "snapshotter/erofs/erofs_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/image_mount.h"
#include "snapshotter/erofs/image_writer.h"
#include "snapshotter/erofs/tree_image.h"

namespace berth::snapshots {
namespace {

constexpr char kCommitImage[] = "commit.erofs";
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

absl::StatusOr<bool> Exists(BorrowedFd directory, const char* name) {
  struct stat info;
  if (::fstatat(directory.get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  return ErrnoStatus(errno, "stat", name);
}

absl::Status Empty(BorrowedFd layer, const char* name) {
  const absl::StatusOr<UniqueFd> directory = OpenAt(layer, name, kOpenDirectory);
  if (ErrnoOf(directory.status()) == ENOENT) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(directory.status());
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> entries, ListDirectory(*directory));
  for (const std::string& entry : entries) {
    BERTH_RETURN_IF_ERROR(RemoveTreeAt(*directory, entry));
  }
  return absl::OkStatus();
}

absl::StatusOr<Usage> SealImage(BorrowedFd image) {
  if (::fsync(image.get()) != 0) return ErrnoStatus(errno, "fsync", "EROFS image");
  // After it, since the blocks are only allocated by then.
  BERTH_ASSIGN_OR_RETURN(const erofs::ImageInfo info, erofs::ReadImageInfo(image));
  return Usage{.size_bytes = info.disk_bytes, .inodes = static_cast<int64_t>(info.inodes)};
}

}  // namespace

absl::StatusOr<Usage> ErofsFormat::MakeImage(const std::string& layer) {
  BERTH_ASSIGN_OR_RETURN(const bool is_mounted, erofs::IsMounted(ContentPath(layer)));
  // Another commit of the same snapshot was faster; the record will say so.
  if (is_mounted) return Usage();
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenFile(layer, kOpenDirectory));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd content, OpenAt(directory, kContent, kOpenDirectory));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> entries, ListDirectory(content));
  BERTH_ASSIGN_OR_RETURN(const bool is_unpacked, Exists(directory, kImage));
  // Of a commit that was broken off.
  if (::unlinkat(directory.get(), kCommitImage, 0) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "unlink", kCommitImage);
  }
  UniqueFd image;
  if (is_unpacked && entries.empty()) {
    BERTH_ASSIGN_OR_RETURN(image, OpenAt(directory, kImage, O_RDONLY | O_NOFOLLOW));
  } else {
    BERTH_ASSIGN_OR_RETURN(
        image, OpenAt(directory, kCommitImage, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    BERTH_RETURN_IF_ERROR(erofs::WriteTreeImage(content, image)) << "make the EROFS image";
  }
  BERTH_ASSIGN_OR_RETURN(const Usage usage, SealImage(image));
  if (::fsync(directory.get()) != 0) return ErrnoStatus(errno, "fsync", layer);
  return usage;
}

absl::StatusOr<std::optional<Usage>> ErofsFormat::Freeze(const std::string& layer) const {
  {
    MutexLock lock(&mutex_);
    const auto is_free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !frozen_.contains(layer);
    };
    mutex_.Await(absl::Condition(&is_free));
    frozen_.insert(layer);
  }
  const absl::StatusOr<Usage> usage = MakeImage(layer);
  if (usage.ok()) return *usage;
  Thaw(layer);
  return usage.status();
}

void ErofsFormat::Thaw(const std::string& layer) const {
  MutexLock lock(&mutex_);
  frozen_.erase(layer);
}

absl::Status ErofsFormat::SettleLocked(const std::string& layer) const {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenFile(layer, kOpenDirectory));
  BERTH_ASSIGN_OR_RETURN(const bool was_frozen, Exists(directory, kCommitImage));
  if (was_frozen && ::renameat(directory.get(), kCommitImage, directory.get(), kImage) != 0) {
    return ErrnoStatus(errno, "rename", kCommitImage);
  }
  // Only now: until it has its name, the files are what the image can be made of again.
  BERTH_RETURN_IF_ERROR(Empty(directory, kContent));
  return Empty(directory, kWork);
}

absl::Status ErofsFormat::Settle(const std::string& layer) const {
  MutexLock lock(&mutex_);
  const absl::Cleanup release = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { frozen_.erase(layer); };
  BERTH_ASSIGN_OR_RETURN(const bool is_mounted, erofs::IsMounted(ContentPath(layer)));
  return is_mounted ? absl::OkStatus() : SettleLocked(layer);
}

absl::Status ErofsFormat::Show(const std::string& layer) const {
  MutexLock lock(&mutex_);
  const std::string content = ContentPath(layer);
  BERTH_ASSIGN_OR_RETURN(const bool is_mounted, erofs::IsMounted(content));
  if (is_mounted) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(SettleLocked(layer));
  return erofs::MountAt(absl::StrCat(layer, "/", kImage), content);
}

absl::Status ErofsFormat::Hide(const std::string& layer) const {
  MutexLock lock(&mutex_);
  return erofs::Unmount(ContentPath(layer));
}

}  // namespace berth::snapshots
