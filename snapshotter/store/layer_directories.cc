#include "snapshotter/store/layer_directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/store/tree_walk.h"

namespace berth::snapshots {
namespace {

// 50 random bits. Short, because the mount data of 128 layers has to fit one page.
constexpr int kIdLength = 10;
constexpr char kIdAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

absl::StatusOr<UniqueFd> EnsureAndOpen(const std::string& path) {
  absl::StatusOr<UniqueFd> opened = OpenFile(path, O_RDONLY | O_DIRECTORY);
  if (ErrnoOf(opened.status()) != ENOENT) return opened;
  BERTH_RETURN_IF_ERROR(EnsureDirectory(path, 0700));
  return OpenFile(path, O_RDONLY | O_DIRECTORY);
}

absl::Status Move(BorrowedFd from, const std::string& id, BorrowedFd to) {
  if (::renameat2(from.get(), id.c_str(), to.get(), id.c_str(), RENAME_NOREPLACE) == 0) {
    return absl::OkStatus();
  }
  // Some filesystems (NFS) lack the flag. Ids are random, so nothing can stand there; and a plain
  // rename would replace an empty directory only.
  if (errno == EINVAL && ::renameat(from.get(), id.c_str(), to.get(), id.c_str()) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "rename layer directory", id);
}

// Overlayfs merges directories by d_type; a filesystem without it (XFS made with ftype=0) shows
// whiteouts as files.
absl::Status CheckEntryTypes(const std::string& root) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(root, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(fd.get()));
  if (stream == nullptr) return ErrnoStatus(errno, "fdopendir", root);
  (void)fd.Release();  // owned by the stream now
  errno = 0;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    if (entry->d_type == DT_UNKNOWN) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the filesystem of \"", root,
          "\" does not tell the types of directory entries (d_type), which snapshots need; make "
          "it anew with that feature (XFS: mkfs.xfs -n ftype=1) or choose another root"));
    }
  }
  if (errno != 0) return ErrnoStatus(errno, "readdir", root);
  return absl::OkStatus();
}

absl::StatusOr<bool> HoldsOnlyDirectories(BorrowedFd directory) {
  bool only_directories = true;
  BERTH_RETURN_IF_ERROR(
      WalkTree(directory, [&](BorrowedFd, const std::string&, const struct stat& info) {
        only_directories = only_directories && S_ISDIR(info.st_mode);
        return absl::OkStatus();
      }));
  return only_directories;
}

}  // namespace

LayerDirectories::Staged::Staged(const LayerDirectories& owner, std::string id, UniqueFd directory)
    : owner_(&owner), id_(std::move(id)), directory_(std::move(directory)) {}

LayerDirectories::Staged::Staged(Staged&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)),
      id_(std::move(other.id_)),
      directory_(std::move(other.directory_)) {}

LayerDirectories::Staged::~Staged() {
  if (owner_ == nullptr) return;
  // What cannot be deleted now is retired by the next start.
  RemoveTreeAt(owner_->new_, id_).IgnoreError();
}

absl::Status LayerDirectories::Staged::Publish() {
  BERTH_CHECK(owner_ != nullptr);
  BERTH_RETURN_IF_ERROR(Move(owner_->new_, id_, owner_->layers_));
  owner_ = nullptr;
  return absl::OkStatus();
}

absl::StatusOr<LayerDirectories> LayerDirectories::Open(absl::string_view root) {
  LayerDirectories directories;
  directories.root_ = std::string(root);
  const bool is_new = ::access(absl::StrCat(root, "/layers").c_str(), F_OK) != 0;
  const auto open = [&](absl::string_view name) {
    return EnsureAndOpen(absl::StrCat(root, "/", name));
  };
  BERTH_ASSIGN_OR_RETURN(directories.new_, open("new"));
  BERTH_ASSIGN_OR_RETURN(directories.layers_, open("layers"));
  BERTH_ASSIGN_OR_RETURN(directories.removed_, open("removed"));
  BERTH_ASSIGN_OR_RETURN(directories.quarantine_, open("quarantine"));
  BERTH_RETURN_IF_ERROR(CheckEntryTypes(directories.root_));
  // Once in the life of the root; what is made below is synced when it has to be.
  if (is_new) {
    BERTH_RETURN_IF_ERROR(SyncDirectory(root));
  }
  return directories;
}

std::string LayerDirectories::NewId() {
  uint64_t random = 0;
  // The kernel's pool is ready long before a daemon starts, and 8 bytes are never cut short.
  BERTH_CHECK(::getrandom(&random, sizeof(random), 0) == sizeof(random));
  std::string id(kIdLength, '\0');
  for (char& character : id) {
    character = kIdAlphabet[random & 31];
    random >>= 5;
  }
  return id;
}

absl::StatusOr<LayerDirectories::Staged> LayerDirectories::Stage(const std::string& id) const {
  if (::mkdirat(new_.get(), id.c_str(), 0700) != 0) {
    return ErrnoStatus(errno, "mkdir", absl::StrCat(root_, "/new/", id));
  }
  absl::StatusOr<UniqueFd> directory = OpenAt(new_, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory.ok()) {
    ::unlinkat(new_.get(), id.c_str(), AT_REMOVEDIR);
    return directory.status();
  }
  return Staged(*this, id, *std::move(directory));
}

absl::StatusOr<UniqueFd> LayerDirectories::OpenLayer(const std::string& id) const {
  return OpenAt(layers_, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

std::string LayerDirectories::LayerPath(absl::string_view id) const {
  return absl::StrCat(root_, "/layers/", id);
}

std::string LayerDirectories::RemovedPath(absl::string_view id) const {
  return absl::StrCat(root_, "/removed/", id);
}

absl::Status LayerDirectories::Retire(const std::string& id) const {
  absl::Status moved = Move(layers_, id, removed_);
  return ErrnoOf(moved) == ENOENT ? absl::OkStatus() : moved;
}

absl::Status LayerDirectories::Restore(const std::string& id) const {
  absl::Status moved = Move(removed_, id, layers_);
  return ErrnoOf(moved) == ENOENT ? Move(quarantine_, id, layers_) : moved;
}

absl::Status LayerDirectories::Quarantine(const std::string& id) const {
  bool is_empty = false;
  {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenLayer(id));
    BERTH_ASSIGN_OR_RETURN(is_empty, HoldsOnlyDirectories(directory), _ << id);
    // The time of the directory says since when it is in quarantine.
    if (::futimens(directory.get(), nullptr) != 0) return ErrnoStatus(errno, "futimens", id);
  }
  return Move(layers_, id, is_empty ? removed_ : quarantine_);
}

absl::Status LayerDirectories::RetireLeftovers(absl::Duration keep) const {
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> unfinished, ListDirectory(new_));
  for (const std::string& id : unfinished) BERTH_RETURN_IF_ERROR(Move(new_, id, removed_));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> held, ListDirectory(quarantine_));
  const absl::Time oldest = absl::Now() - keep;
  for (const std::string& id : held) {
    struct stat info;
    if (::fstatat(quarantine_.get(), id.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "stat", id);
    }
    if (absl::TimeFromTimespec(info.st_mtim) < oldest) {
      BERTH_RETURN_IF_ERROR(Move(quarantine_, id, removed_));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> LayerDirectories::ListLayers() const {
  return ListDirectory(layers_);
}

absl::StatusOr<std::vector<std::string>> LayerDirectories::ListRemoved() const {
  return ListDirectory(removed_);
}

absl::Status LayerDirectories::Delete(const std::string& id) const {
  BERTH_RETURN_IF_ERROR(RemoveTreeAt(removed_, id)) << "delete removed layer " << id;
  return absl::OkStatus();
}

}  // namespace berth::snapshots
