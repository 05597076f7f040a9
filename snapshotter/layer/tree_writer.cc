#include "snapshotter/layer/tree_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/copy_up.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kMaxDepth = 1024;  // deeper trees cannot be named by any path (PATH_MAX / 2 = 2048)

std::string Join(absl::string_view directory, absl::string_view name) {
  return directory.empty() ? std::string(name) : absl::StrCat(directory, "/", name);
}

// What a new file can be made with; set-id bits come after the owner.
mode_t CreationMode(const Entry& entry) { return entry.permissions & 0777; }

// Owner first: chown clears the set-id bits and the file capabilities. Most files of most images
// are made right; to look is ten times cheaper than to change nothing, which the filesystem still
// writes down.
absl::Status SetAttributes(BorrowedFd file, const Entry& entry) {
  struct stat made;
  if (::fstat(file.get(), &made) != 0) return ErrnoStatus(errno, "fstat");
  const bool chowns = made.st_uid != entry.uid || made.st_gid != entry.gid;
  if (chowns && ::fchown(file.get(), entry.uid, entry.gid) != 0) {
    return ErrnoStatus(errno, "fchown");
  }
  const bool chmods =
      (made.st_mode & 07777) != entry.permissions || (chowns && made.st_mode & 06000);
  if (chmods && ::fchmod(file.get(), entry.permissions) != 0) return ErrnoStatus(errno, "fchmod");
  return SetXattrs(file, entry.xattrs);
}

mode_t FileTypeBits(EntryType type) {
  switch (type) {
    case EntryType::kCharDevice:
      return S_IFCHR;
    case EntryType::kBlockDevice:
      return S_IFBLK;
    default:
      return S_IFIFO;
  }
}

absl::Status CheckParents(absl::string_view parent) {
  for (absl::string_view part : absl::StrSplit(parent, '/')) {
    if (absl::StartsWith(part, kWhiteoutPrefix)) {
      return absl::InvalidArgumentError("it lies below a whiteout, which is no directory");
    }
  }
  return absl::OkStatus();
}

}  // namespace

TreeWriter::TreeWriter(UniqueFd root, WhiteoutStyle style, std::vector<UniqueFd> lowers,
                       Below below)
    : root_(std::move(root)),
      style_(style),
      below_(below),
      parents_(
          root_, std::move(lowers),
          [this](const std::string& path, BorrowedFd directory, ParentDirectories::Origin origin) {
            if (origin == ParentDirectories::Origin::kNowhere && below_ == Below::kUnknown) {
              return NeedParent();
            }
            NoteCreated(path);
            struct stat info;
            if (::fstat(directory.get(), &info) != 0) return ErrnoStatus(errno, "fstat", path);
            directory_times_.emplace_back(path, info.st_mtim);
            return absl::OkStatus();
          }) {}

absl::Status TreeWriter::Add(const Entry& entry, DataWriter write_data) {
  const absl::StatusOr<LayerPath> path = LayerPath::Parse(entry.path);
  BERTH_RETURN_IF_ERROR(path) << "layer entry \"" << entry.path << "\"";
  const absl::Status status = AddChecked(entry, *path, write_data);
  if (ErrnoOf(status) == ENOSPC || ErrnoOf(status) == EDQUOT) {
    return Annotate(status, absl::StrCat("layer entry \"", entry.path,
                                         "\": the filesystem of the snapshots is full; free "
                                         "space (remove unused images and containers), then "
                                         "unpack again"));
  }
  if (!status.ok()) return Annotate(status, absl::StrCat("layer entry \"", entry.path, "\""));
  return absl::OkStatus();
}

absl::Status TreeWriter::AddChecked(const Entry& entry, const LayerPath& path,
                                    DataWriter write_data) {
  if (path.is_root()) {
    // The root directory belongs to the snapshot: archives made from a temporary directory carry
    // its mode 0700, which would lock every user but root out of the container.
    if (entry.type == EntryType::kDirectory) return absl::OkStatus();
    return absl::InvalidArgumentError("it would replace the root of the layer");
  }
  BERTH_RETURN_IF_ERROR(CheckParents(path.parent()));
  BERTH_ASSIGN_OR_RETURN(const BorrowedFd parent, parents_.OpenOrMake(path.parent()));
  if (absl::StartsWith(path.name(), kWhiteoutPrefix)) return Whiteout(path, parent);

  const std::string name(path.name());
  switch (entry.type) {
    case EntryType::kFile:
      BERTH_RETURN_IF_ERROR(AddFile(entry, parent, name, write_data));
      break;
    case EntryType::kDirectory:
      BERTH_RETURN_IF_ERROR(AddDirectory(entry, path, parent, name));
      break;
    case EntryType::kHardlink:
      BERTH_RETURN_IF_ERROR(AddHardlink(entry, path));
      break;
    default:
      BERTH_RETURN_IF_ERROR(AddSpecial(entry, parent, name));
      break;
  }
  NoteCreated(path.text());
  return absl::OkStatus();
}

absl::Status TreeWriter::Replace(BorrowedFd parent, const std::string& name,
                                 absl::FunctionRef<absl::Status()> create) {
  absl::Status status = create();
  if (ErrnoOf(status) != EEXIST) return status;
  parents_.Forget();
  BERTH_RETURN_IF_ERROR(RemoveTreeAt(parent, name)) << "remove what the name stood for";
  return create();
}

absl::Status TreeWriter::AddFile(const Entry& entry, BorrowedFd parent, const std::string& name,
                                 DataWriter write_data) {
  UniqueFd file;
  BERTH_RETURN_IF_ERROR(Replace(parent, name, [&]() -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        file, OpenAt(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, CreationMode(entry)));
    return absl::OkStatus();
  }));
  BERTH_RETURN_IF_ERROR(write_data(file, 0));
  BERTH_RETURN_IF_ERROR(SetAttributes(file, entry));
  const struct timespec times[2] = {entry.modified, entry.modified};
  if (::futimens(file.get(), times) != 0) return ErrnoStatus(errno, "futimens");
  return absl::OkStatus();
}

absl::Status TreeWriter::AddDirectory(const Entry& entry, const LayerPath& path, BorrowedFd parent,
                                      const std::string& name) {
  bool was_whiteout = false;
  if (::mkdirat(parent.get(), name.c_str(), CreationMode(entry)) != 0) {
    if (errno != EEXIST) return ErrnoStatus(errno, "mkdir");
    BERTH_ASSIGN_OR_RETURN(const Found found, Look(parent, name));
    if (found != Found::kDirectory) {
      was_whiteout = found == Found::kWhiteout;
      BERTH_RETURN_IF_ERROR(Replace(parent, name, [&] {
        return ::mkdirat(parent.get(), name.c_str(), CreationMode(entry)) == 0
                   ? absl::OkStatus()
                   : ErrnoStatus(errno, "mkdir");
      }));
    }
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(parent, name, kOpenDirectory));
  BERTH_RETURN_IF_ERROR(SetAttributes(directory, entry));
  // The whiteout said that the directory below is gone; a plain new one would merge with it.
  if (was_whiteout) {
    BERTH_RETURN_IF_ERROR(MarkOpaque(directory));
  }
  directory_times_.emplace_back(path.text(), entry.modified);
  return absl::OkStatus();
}

absl::Status TreeWriter::NeedParent() {
  needs_parent_ = true;
  return absl::FailedPreconditionError("it needs the layers below, which are not there yet");
}

absl::Status TreeWriter::CopyUp(const LayerPath& path) {
  if (below_ == Below::kUnknown) return NeedParent();
  BERTH_ASSIGN_OR_RETURN(const BorrowedFd parent, parents_.OpenOrMake(path.parent()));
  const std::string name(path.name());
  BERTH_ASSIGN_OR_RETURN(const Found found, Look(parent, name));
  // A whiteout of this layer: what lies below is gone.
  if (found != Found::kNothing) return ErrnoStatus(ENOENT, "copy up", path.text());
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFileBelow(parents_.lowers(), path.text()));
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return ErrnoStatus(errno, "fstat", path.text());
  Entry copy;
  copy.permissions = info.st_mode & 07777;
  copy.uid = info.st_uid;
  copy.gid = info.st_gid;
  copy.modified = info.st_mtim;
  BERTH_ASSIGN_OR_RETURN(copy.xattrs, ReadImageXattrs(file));
  return AddFile(copy, parent, name,
                 [&](BorrowedFd to, int64_t begin) { return CopyBytes(file, to, begin); });
}

absl::Status TreeWriter::AddHardlink(const Entry& entry, const LayerPath& path) {
  const absl::StatusOr<LayerPath> target = LayerPath::Parse(entry.link_target);
  BERTH_RETURN_IF_ERROR(target) << "target of the hard link";
  if (target->is_root()) return absl::InvalidArgumentError("it is a hard link to the root");
  if (target->text() == path.text()) {
    return absl::InvalidArgumentError("it is a hard link to itself");
  }
  const std::string from_name(target->name());
  const std::string name(path.name());
  const auto link = [&]() -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd from, parents_.Open(target->parent()));
    // Both ends are held by descriptors of their own: replacing the name may forget the parents.
    BERTH_ASSIGN_OR_RETURN(const UniqueFd to, parents_.Open(path.parent()));
    BERTH_ASSIGN_OR_RETURN(const Found found, Look(from, from_name));
    if (found == Found::kNothing || found == Found::kWhiteout) {
      return ErrnoStatus(ENOENT, "link", entry.link_target);
    }
    return Replace(to, name, [&] {
      // Without AT_SYMLINK_FOLLOW: a link to a symlink is one.
      return ::linkat(from.get(), from_name.c_str(), to.get(), name.c_str(), 0) == 0
                 ? absl::OkStatus()
                 : ErrnoStatus(errno, "link", entry.link_target);
    });
  };
  absl::Status status = link();
  if (ErrnoOf(status) == ENOENT && style_ != WhiteoutStyle::kDelete) {
    status = CopyUp(*target);
    if (status.ok()) status = link();
  }
  if (ErrnoOf(status) == ENOENT) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is a hard link to \"", entry.link_target,
                     "\", which neither an earlier entry of this layer nor a layer below made"));
  }
  return status;
}

absl::Status TreeWriter::AddSpecial(const Entry& entry, BorrowedFd parent,
                                    const std::string& name) {
  const bool is_symlink = entry.type == EntryType::kSymlink;
  BERTH_RETURN_IF_ERROR(Replace(parent, name, [&] {
    if (is_symlink) {
      return ::symlinkat(entry.link_target.c_str(), parent.get(), name.c_str()) == 0
                 ? absl::OkStatus()
                 : ErrnoStatus(errno, "symlink", entry.link_target);
    }
    return ::mknodat(parent.get(), name.c_str(), FileTypeBits(entry.type) | 0600, entry.device) == 0
               ? absl::OkStatus()
               : ErrnoStatus(errno, "mknod");
  }));
  if (::fchownat(parent.get(), name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "fchownat");
  }
  if (!is_symlink || !entry.xattrs.empty()) {
    // Opening a device or FIFO would act on it; O_PATH does not.
    BERTH_ASSIGN_OR_RETURN(const UniqueFd node, OpenAt(parent, name, O_PATH | O_NOFOLLOW));
    if (!is_symlink) {
      if (::chmod(ProcPath(node).c_str(), entry.permissions) != 0) {
        return ErrnoStatus(errno, "chmod");
      }
      BERTH_RETURN_IF_ERROR(SetXattrs(node, entry.xattrs));
    }
    // A symlink's attributes cannot be set through /proc/self/fd, which would follow it; images
    // have none but those of trusted.*, which mean nothing on it.
  }
  const struct timespec times[2] = {entry.modified, entry.modified};
  if (::utimensat(parent.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "utimensat");
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::Whiteout(const LayerPath& path, BorrowedFd parent) {
  if (path.name() == kOpaqueMarker) {
    if (style_ == WhiteoutStyle::kDelete) return DeleteOlderBelow(parent, path.parent(), 0);
    return MarkOpaque(parent);
  }
  // aufs kept other files of its own under this prefix; they are no part of the image.
  if (absl::StartsWith(path.name(), kWhiteoutMetaPrefix)) return absl::OkStatus();
  const std::string name(path.name().substr(kWhiteoutPrefix.size()));
  if (name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError("the whiteout names no file of its directory");
  }
  if (style_ == WhiteoutStyle::kDelete) return DeleteOlder(parent, path.parent(), name);
  return HideInOverlay(parent, name);
}

absl::Status TreeWriter::HideInOverlay(BorrowedFd parent, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(const Found found, Look(parent, name));
  switch (found) {
    case Found::kNothing:
      if (::mknodat(parent.get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
        return ErrnoStatus(errno, "mknod (whiteout)");
      }
      return absl::OkStatus();
    case Found::kDirectory: {
      // This layer's own directory of the same name stays; only what lies below is hidden.
      BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(parent, name, kOpenDirectory));
      return MarkOpaque(directory);
    }
    case Found::kWhiteout:
    case Found::kOther:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::DeleteOlder(BorrowedFd parent, absl::string_view parent_path,
                                     const std::string& name) {
  const std::string path = Join(parent_path, name);
  if (IsCreated(path)) {
    const absl::StatusOr<UniqueFd> directory = OpenAt(parent, name, kOpenDirectory);
    if (!directory.ok()) return absl::OkStatus();  // a file of this layer: it replaced the older
    return DeleteOlderBelow(*directory, path, 0);
  }
  parents_.Forget();
  return RemoveTreeAt(parent, name);
}

absl::Status TreeWriter::DeleteOlderBelow(BorrowedFd directory, absl::string_view path, int depth) {
  if (depth > kMaxDepth) return absl::InvalidArgumentError("directories are nested too deeply");
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    const std::string child_path = Join(path, name);
    if (!IsCreated(child_path)) {
      parents_.Forget();
      BERTH_RETURN_IF_ERROR(RemoveTreeAt(directory, name));
      continue;
    }
    const absl::StatusOr<UniqueFd> child = OpenAt(directory, name, kOpenDirectory);
    if (child.ok()) {
      BERTH_RETURN_IF_ERROR(DeleteOlderBelow(*child, child_path, depth + 1));
    }
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::MarkOpaque(BorrowedFd directory) {
  if (style_ == WhiteoutStyle::kDelete) return absl::OkStatus();
  return SetXattr(
      directory,
      style_ == WhiteoutStyle::kOverlay ? "trusted.overlay.opaque" : "user.overlay.opaque", "y");
}

absl::StatusOr<TreeWriter::Found> TreeWriter::Look(BorrowedFd parent,
                                                   const std::string& name) const {
  struct stat info;
  if (::fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Found::kNothing;
    return ErrnoStatus(errno, "fstatat");
  }
  if (S_ISDIR(info.st_mode)) return Found::kDirectory;
  const bool is_whiteout = S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
  return is_whiteout ? Found::kWhiteout : Found::kOther;
}

void TreeWriter::NoteCreated(absl::string_view path) {
  if (style_ != WhiteoutStyle::kDelete) return;
  // Its directories hold something of this layer now, so that they may not be deleted as a whole.
  while (!path.empty() && created_.insert(absl::Hash<absl::string_view>()(path)).second) {
    const size_t slash = path.rfind('/');
    path = slash == absl::string_view::npos ? absl::string_view() : path.substr(0, slash);
  }
}

bool TreeWriter::IsCreated(absl::string_view path) const {
  return created_.contains(absl::Hash<absl::string_view>()(path));
}

absl::Status TreeWriter::Finish() {
  for (const auto& [path, modified] : directory_times_) {
    const absl::StatusOr<UniqueFd> directory = parents_.Open(path);
    if (!directory.ok()) {
      // A later entry replaced it by something else.
      const int error = ErrnoOf(directory.status());
      if (error == ENOENT || error == ENOTDIR) continue;
      return Annotate(directory.status(), absl::StrCat("set the times of \"", path, "\""));
    }
    const struct timespec times[2] = {modified, modified};
    if (::futimens(directory->get(), times) != 0) return ErrnoStatus(errno, "futimens", path);
  }
  return absl::OkStatus();
}

}  // namespace berth::layer
