#include "snapshotter/erofs/layer_image.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/copy_up.h"
#include "snapshotter/layer/xattr.h"

namespace berth::erofs {
namespace {

using layer::Entry;
using layer::EntryType;
using layer::LayerPath;

constexpr int kMaxLinks = 40;  // as the kernel
constexpr size_t kMaxPendingParts = 4096;
constexpr char kOpaque[] = "trusted.overlay.opaque";

mode_t TypeBits(EntryType type) {
  switch (type) {
    case EntryType::kFile:
    case EntryType::kHardlink:
      return S_IFREG;
    case EntryType::kDirectory:
      return S_IFDIR;
    case EntryType::kSymlink:
      return S_IFLNK;
    case EntryType::kCharDevice:
      return S_IFCHR;
    case EntryType::kBlockDevice:
      return S_IFBLK;
    case EntryType::kFifo:
      return S_IFIFO;
  }
  return 0;
}

// Those that an image may carry and the format can hold, each once, in order of name.
Xattrs ImageXattrs(const Xattrs& given) {
  Xattrs kept;
  for (const auto& [name, value] : given) {
    const bool has_place = absl::StartsWith(name, "user.") || absl::StartsWith(name, "trusted.") ||
                           absl::StartsWith(name, "security.") ||
                           absl::StartsWith(name, "system.posix_acl_");
    if (layer::IsImageXattr(name) && has_place) kept.emplace_back(name, value);
  }
  std::stable_sort(kept.begin(), kept.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // Of two with one name the later counts.
  Xattrs result;
  for (auto& xattr : kept) {
    if (!result.empty() && result.back().first == xattr.first) result.pop_back();
    result.push_back(std::move(xattr));
  }
  return result;
}

Attributes AttributesOf(const Entry& entry) {
  Attributes attributes;
  attributes.mode =
      TypeBits(entry.type) | (entry.type == EntryType::kSymlink ? 0777 : entry.permissions & 07777);
  attributes.uid = entry.uid;
  attributes.gid = entry.gid;
  attributes.modified = entry.modified;
  attributes.device = entry.device;
  attributes.xattrs = ImageXattrs(entry.xattrs);
  return attributes;
}

Attributes PlainDirectory() {
  Attributes attributes;
  attributes.mode = S_IFDIR | 0755;
  return attributes;
}

absl::Status CheckParents(absl::string_view parent) {
  for (absl::string_view part : absl::StrSplit(parent, '/')) {
    if (absl::StartsWith(part, layer::kWhiteoutPrefix)) {
      return absl::InvalidArgumentError("it lies below a whiteout, which is no directory");
    }
  }
  return absl::OkStatus();
}

}  // namespace

LayerImage::LayerImage(BorrowedFd image, std::vector<UniqueFd> lowers, layer::Below below)
    : writer_(image, PlainDirectory()), lowers_(std::move(lowers)), below_(below) {
  // The root belongs to the snapshot: it stays as it is below.
  struct stat info;
  if (lowers_.empty() || ::fstat(lowers_.front().get(), &info) != 0) return;
  Attributes& root = writer_.tree().inode(ImageTree::kRoot).attributes;
  root.mode = info.st_mode;
  root.uid = info.st_uid;
  root.gid = info.st_gid;
}

absl::Status LayerImage::NeedParent() {
  needs_parent_ = true;
  return absl::FailedPreconditionError("it needs the layers below, which are not there yet");
}

bool LayerImage::IsWhiteout(Number number) const {
  const Attributes& attributes = writer_.tree().inode(number).attributes;
  return S_ISCHR(attributes.mode) && attributes.device == makedev(0, 0);
}

void LayerImage::MarkOpaque(Number directory) {
  Xattrs& xattrs = writer_.tree().inode(directory).attributes.xattrs;
  for (const auto& [name, value] : xattrs) {
    if (name == kOpaque) return;
  }
  xattrs.emplace_back(kOpaque, "y");
}

absl::Status LayerImage::Add(const Entry& entry, DataWriter write_data) {
  const absl::StatusOr<LayerPath> path = LayerPath::Parse(entry.path);
  BERTH_RETURN_IF_ERROR(path.status()) << "layer entry \"" << entry.path << "\"";
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

absl::Status LayerImage::AddChecked(const Entry& entry, const LayerPath& path,
                                    DataWriter write_data) {
  if (path.is_root()) {
    if (entry.type == EntryType::kDirectory) return absl::OkStatus();
    return absl::InvalidArgumentError("it would replace the root of the layer");
  }
  BERTH_RETURN_IF_ERROR(CheckParents(path.parent()));
  if (path.name().size() > NAME_MAX) {
    return absl::InvalidArgumentError("its name is longer than 255 bytes");
  }
  BERTH_ASSIGN_OR_RETURN(const Number parent, OpenDirectory(path.parent(), Missing::kMake));
  if (absl::StartsWith(path.name(), layer::kWhiteoutPrefix)) return Whiteout(path, parent);
  ImageTree& tree = writer_.tree();
  switch (entry.type) {
    case EntryType::kDirectory:
      return AddDirectory(entry, parent, path.name());
    case EntryType::kHardlink:
      return AddHardlink(entry, path, parent);
    case EntryType::kFile: {
      tree.Remove(parent, path.name());
      const Number file = tree.Make(parent, path.name(), AttributesOf(entry));
      return writer_.WriteData(file, entry.size_bytes, write_data);
    }
    case EntryType::kSymlink: {
      if (entry.link_target.empty() || entry.link_target.size() >= PATH_MAX) {
        return absl::InvalidArgumentError("the target of the link is empty or too long");
      }
      tree.Remove(parent, path.name());
      const Number link = tree.Make(parent, path.name(), AttributesOf(entry));
      tree.inode(link).link_target = entry.link_target;
      return absl::OkStatus();
    }
    default:
      tree.Remove(parent, path.name());
      tree.Make(parent, path.name(), AttributesOf(entry));
      return absl::OkStatus();
  }
}

absl::StatusOr<Number> LayerImage::OpenDirectory(absl::string_view path, Missing missing) {
  ImageTree& tree = writer_.tree();
  // Directories on the way, so that ".." of a link leads back; the root's is itself.
  std::vector<std::pair<Number, std::string>> way = {{ImageTree::kRoot, ""}};
  std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  std::reverse(parts.begin(), parts.end());
  int links = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.back());
    parts.pop_back();
    if (part == ".") continue;
    if (part == "..") {
      if (way.size() > 1) way.pop_back();
      continue;
    }
    const auto& [directory, text] = way.back();
    const std::string here = text.empty() ? part : absl::StrCat(text, "/", part);
    Number next = tree.Find(directory, part);
    if (next == ImageTree::kNone) {
      if (missing == Missing::kTell) return ErrnoStatus(ENOENT, "open directory", path);
      if (links > 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", path, "\" is a link that leads to nothing inside the layer"));
      }
      BERTH_ASSIGN_OR_RETURN(next, MakeMissing(directory, part, here));
    }
    const Inode& inode = tree.inode(next);
    if (S_ISLNK(inode.attributes.mode)) {
      if (++links > kMaxLinks || parts.size() > kMaxPendingParts) {
        return absl::InvalidArgumentError(absl::StrCat("too many links on the way to ", path));
      }
      std::vector<std::string> more = absl::StrSplit(inode.link_target, '/', absl::SkipEmpty());
      if (inode.link_target[0] == '/') way.resize(1);
      parts.insert(parts.end(), more.rbegin(), more.rend());
      continue;
    }
    if (!S_ISDIR(inode.attributes.mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a part of its directory \"", path, "\" is a file in this layer"));
    }
    way.emplace_back(next, here);
  }
  return way.back().first;
}

absl::StatusOr<Number> LayerImage::MakeMissing(Number parent, absl::string_view name,
                                               const std::string& path) {
  if (below_ == layer::Below::kUnknown) return NeedParent();
  Attributes attributes = PlainDirectory();
  const absl::StatusOr<UniqueFd> below = layer::OpenDirectoryBelow(lowers_, path);
  if (below.ok()) {
    struct stat info;
    if (::fstat(below->get(), &info) != 0) return ErrnoStatus(errno, "fstat", path);
    attributes.mode = info.st_mode;
    attributes.uid = info.st_uid;
    attributes.gid = info.st_gid;
    attributes.modified = info.st_mtim;
    BERTH_ASSIGN_OR_RETURN(const Xattrs xattrs, layer::ReadImageXattrs(*below));
    attributes.xattrs = ImageXattrs(xattrs);
  }
  return writer_.tree().Make(parent, name, std::move(attributes));
}

absl::Status LayerImage::AddDirectory(const Entry& entry, Number parent, absl::string_view name) {
  ImageTree& tree = writer_.tree();
  Attributes attributes = AttributesOf(entry);
  const Number old = tree.Find(parent, name);
  const bool was_whiteout = old != ImageTree::kNone && IsWhiteout(old);
  if (old != ImageTree::kNone && tree.IsDirectory(old)) {
    Attributes& there = tree.inode(old).attributes;
    bool is_opaque = false;
    for (const auto& [key, value] : there.xattrs) is_opaque = is_opaque || key == kOpaque;
    there = std::move(attributes);
    if (is_opaque) MarkOpaque(old);
    return absl::OkStatus();
  }
  tree.Remove(parent, name);
  const Number made = tree.Make(parent, name, std::move(attributes));
  // The whiteout said that the directory below is gone; a plain new one would merge with it.
  if (was_whiteout) MarkOpaque(made);
  return absl::OkStatus();
}

absl::Status LayerImage::AddHardlink(const Entry& entry, const LayerPath& path, Number parent) {
  ImageTree& tree = writer_.tree();
  const absl::StatusOr<LayerPath> target = LayerPath::Parse(entry.link_target);
  BERTH_RETURN_IF_ERROR(target.status()) << "target of the hard link";
  if (target->is_root()) return absl::InvalidArgumentError("it is a hard link to the root");
  if (target->text() == path.text()) {
    return absl::InvalidArgumentError("it is a hard link to itself");
  }
  const auto find = [&]() -> absl::StatusOr<Number> {
    const absl::StatusOr<Number> directory = OpenDirectory(target->parent(), Missing::kTell);
    if (!directory.ok()) {
      if (ErrnoOf(directory.status()) == ENOENT) return ImageTree::kNone;
      return directory.status();
    }
    return tree.Find(*directory, target->name());
  };
  BERTH_ASSIGN_OR_RETURN(Number found, find());
  if (found == ImageTree::kNone) {
    const absl::Status copied = CopyUp(*target);
    if (!copied.ok() && ErrnoOf(copied) != ENOENT) return copied;
    BERTH_ASSIGN_OR_RETURN(found, find());
  }
  if (found == ImageTree::kNone || IsWhiteout(found)) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is a hard link to \"", entry.link_target,
                     "\", which neither an earlier entry of this layer nor a layer below made"));
  }
  if (tree.IsDirectory(found)) {
    return absl::InvalidArgumentError("it is a hard link to a directory");
  }
  // Both names may be the same file already.
  if (tree.Find(parent, path.name()) == found) return absl::OkStatus();
  tree.Remove(parent, path.name());
  if (tree.inode(found).links == 0) {
    return absl::InvalidArgumentError("it is a hard link to what it replaces");
  }
  tree.Link(parent, path.name(), found);
  return absl::OkStatus();
}

absl::Status LayerImage::CopyUp(const LayerPath& path) {
  if (below_ == layer::Below::kUnknown) return NeedParent();
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, layer::OpenFileBelow(lowers_, path.text()));
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return ErrnoStatus(errno, "fstat", path.text());
  Attributes attributes;
  attributes.mode = info.st_mode;
  attributes.uid = info.st_uid;
  attributes.gid = info.st_gid;
  attributes.modified = info.st_mtim;
  BERTH_ASSIGN_OR_RETURN(const Xattrs xattrs, layer::ReadImageXattrs(file));
  attributes.xattrs = ImageXattrs(xattrs);
  BERTH_ASSIGN_OR_RETURN(const Number parent, OpenDirectory(path.parent(), Missing::kMake));
  const Number copy = writer_.tree().Make(parent, path.name(), std::move(attributes));
  return writer_.WriteData(
      copy, static_cast<uint64_t>(info.st_size),
      [&](BorrowedFd image, int64_t begin) { return layer::CopyBytes(file, image, begin); });
}

absl::Status LayerImage::Whiteout(const LayerPath& path, Number parent) {
  // The lowest layer has nothing to hide, and would show its own marks.
  const bool hides = below_ == layer::Below::kUnknown || !lowers_.empty();
  if (path.name() == layer::kOpaqueMarker) {
    if (hides) MarkOpaque(parent);
    return absl::OkStatus();
  }
  // aufs kept other files of its own under this prefix; they are no part of the image.
  if (absl::StartsWith(path.name(), layer::kWhiteoutMetaPrefix)) return absl::OkStatus();
  const absl::string_view name = path.name().substr(layer::kWhiteoutPrefix.size());
  if (name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError("the whiteout names no file of its directory");
  }
  if (!hides) return absl::OkStatus();
  const Number found = writer_.tree().Find(parent, name);
  if (found == ImageTree::kNone) {
    Attributes whiteout;
    whiteout.mode = S_IFCHR;
    whiteout.device = makedev(0, 0);
    writer_.tree().Make(parent, name, std::move(whiteout));
  } else if (writer_.tree().IsDirectory(found)) {
    // This layer's own directory of the same name stays; only what lies below is hidden.
    MarkOpaque(found);
  }
  return absl::OkStatus();
}

absl::Status LayerImage::Finish() {
  return Annotate(writer_.Finish(), "write the metadata of the EROFS image");
}

}  // namespace berth::erofs
