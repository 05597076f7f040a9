#include "server/engine/tree_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/xattr.h"

namespace berth::engine {
namespace {

using layer::EntryType;
using layer::LayerPath;

constexpr size_t kMaxDirectoryTimes = 1 << 17;  // beyond, directories have the time of the upload

mode_t KindOf(EntryType type) {
  switch (type) {
    case EntryType::kCharDevice:
      return S_IFCHR;
    case EntryType::kBlockDevice:
      return S_IFBLK;
    default:
      return S_IFIFO;
  }
}

}  // namespace

TreeExtract::TreeExtract(BorrowedFd root, absl::string_view directory, Owners owners,
                         Replacing replacing)
    : root_(root),
      directory_(directory == "/" ? "" : std::string(directory)),
      owners_(owners),
      replacing_(replacing) {}

std::string TreeExtract::PathOf(absl::string_view below) const {
  return absl::StrCat(directory_, "/", below);
}

absl::Status TreeExtract::OnEntry(const layer::Entry& entry) {
  entry_ = entry;
  BERTH_ASSIGN_OR_RETURN(const LayerPath path, LayerPath::Parse(entry.path));
  if (path.is_root()) {
    if (entry.type == EntryType::kDirectory) return absl::OkStatus();  // it is there
    return absl::InvalidArgumentError("the archive has a member without a name");
  }
  const bool is_device =
      entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice;
  if (is_device && owners_ != Owners::kArchived) {
    return absl::InvalidArgumentError(absl::StrCat("the archive has the device ", entry.path,
                                                   "; devices are copied only with owners (-a)"));
  }
  const std::string name(path.name());
  BERTH_ASSIGN_OR_RETURN(const UniqueFd parent, OpenParent(path));
  BERTH_ASSIGN_OR_RETURN(const bool is_there, Clear(parent, name), _ << "write " << entry.path);
  if (!is_there) {
    BERTH_RETURN_IF_ERROR(Create(parent, name)) << "write " << entry.path;
  }
  if (entry.type != EntryType::kFile && entry.type != EntryType::kHardlink) {
    BERTH_ASSIGN_OR_RETURN(node_, OpenAt(parent, name, O_PATH | O_NOFOLLOW));
  }
  if (entry.type == EntryType::kDirectory && directory_times_.size() < kMaxDirectoryTimes) {
    directory_times_.emplace_back(path.text(), entry.modified);
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> TreeExtract::OpenParent(const LayerPath& path) {
  absl::StatusOr<UniqueFd> parent = OpenInRoot(root_, PathOf(path.parent()), O_PATH | O_DIRECTORY);
  if (ErrnoOf(parent.status()) != ENOENT) return parent;
  BERTH_ASSIGN_OR_RETURN(UniqueFd at, OpenInRoot(root_, PathOf(""), O_PATH | O_DIRECTORY));
  std::string below;
  for (absl::string_view part : absl::StrSplit(path.parent(), '/', absl::SkipEmpty())) {
    const std::string name(part);
    absl::StrAppend(&below, below.empty() ? "" : "/", name);
    absl::StatusOr<UniqueFd> next = OpenInRoot(root_, PathOf(below), O_PATH | O_DIRECTORY);
    if (ErrnoOf(next.status()) == ENOENT) {
      // A link to nothing makes this fail: what it names is not made up.
      if (::mkdirat(at.get(), name.c_str(), 0755) != 0) return ErrnoStatus(errno, "mkdir", below);
      next = OpenAt(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    }
    BERTH_RETURN_IF_ERROR(next.status());
    at = *std::move(next);
  }
  return at;
}

absl::StatusOr<bool> TreeExtract::Clear(BorrowedFd parent, const std::string& name) {
  struct stat status = {};
  if (::fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return ErrnoStatus(errno, "fstatat", name);
  }
  const bool was_directory = S_ISDIR(status.st_mode);
  const bool is_directory = entry_.type == EntryType::kDirectory;
  if (was_directory && is_directory) return true;
  if (was_directory != is_directory && replacing_ == Replacing::kSameKind) {
    return absl::InvalidArgumentError(was_directory
                                          ? "cannot overwrite a directory with something else"
                                          : "cannot overwrite something else with a directory");
  }
  if (was_directory) {
    BERTH_RETURN_IF_ERROR(RemoveTreeAt(parent, name));
  } else if (::unlinkat(parent.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "unlinkat", name);
  }
  return false;
}

absl::Status TreeExtract::Create(BorrowedFd parent, const std::string& name) {
  switch (entry_.type) {
    case EntryType::kFile: {
      BERTH_ASSIGN_OR_RETURN(file_,
                             OpenAt(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
      return absl::OkStatus();
    }
    case EntryType::kDirectory:
      if (::mkdirat(parent.get(), name.c_str(), 0700) == 0) return absl::OkStatus();
      return ErrnoStatus(errno, "mkdirat", name);
    case EntryType::kSymlink:
      if (::symlinkat(entry_.link_target.c_str(), parent.get(), name.c_str()) == 0) {
        return absl::OkStatus();
      }
      return ErrnoStatus(errno, "symlinkat", name);
    case EntryType::kHardlink:
      return Link(parent, name);
    default:
      if (::mknodat(parent.get(), name.c_str(), KindOf(entry_.type) | 0600, entry_.device) == 0) {
        return absl::OkStatus();
      }
      return ErrnoStatus(errno, "mknodat", name);
  }
}

absl::Status TreeExtract::Link(BorrowedFd parent, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(const LayerPath target, LayerPath::Parse(entry_.link_target));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory,
                         OpenInRoot(root_, PathOf(target.parent()), O_PATH | O_DIRECTORY));
  const std::string target_name(target.name());
  // Without AT_SYMLINK_FOLLOW: a link is linked itself.
  if (::linkat(directory.get(), target_name.c_str(), parent.get(), name.c_str(), 0) != 0) {
    return ErrnoStatus(errno, "linkat", entry_.link_target);
  }
  return absl::OkStatus();
}

absl::Status TreeExtract::OnData(absl::string_view data) { return WriteAll(file_, data); }

absl::Status TreeExtract::OnEntryEnd() {
  const UniqueFd file = std::move(file_);
  const UniqueFd node = std::move(node_);
  if (!file.valid() && !node.valid()) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(SetAttributes(file.valid() ? file : node)) << "write " << entry_.path;
  return absl::OkStatus();
}

absl::Status TreeExtract::SetAttributes(BorrowedFd created) {
  const uid_t uid = owners_ == Owners::kArchived ? entry_.uid : 0;
  const gid_t gid = owners_ == Owners::kArchived ? entry_.gid : 0;
  if (::fchownat(created.get(), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "fchownat");
  }
  const struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW}, entry_.modified};
  if (entry_.type == EntryType::kSymlink) {
    ::utimensat(created.get(), "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    return absl::OkStatus();
  }
  // By the descriptor's own name, which is exactly this file: O_PATH ones take no fchmod.
  const std::string path = layer::ProcPath(created);
  if (::chmod(path.c_str(), entry_.permissions) != 0) return ErrnoStatus(errno, "chmod");
  BERTH_RETURN_IF_ERROR(layer::SetXattrs(created, entry_.xattrs));
  if (::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) return ErrnoStatus(errno, "utimensat");
  return absl::OkStatus();
}

absl::Status TreeExtract::Finish() {
  for (const auto& [below, modified] : directory_times_) {
    const auto directory = OpenInRoot(root_, PathOf(below), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!directory.ok()) continue;  // replaced by a later member
    const struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW}, modified};
    ::utimensat(AT_FDCWD, layer::ProcPath(*directory).c_str(), times, 0);
  }
  return absl::OkStatus();
}

}  // namespace berth::engine
