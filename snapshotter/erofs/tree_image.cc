#include "snapshotter/erofs/tree_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/image_writer.h"
#include "snapshotter/layer/copy_up.h"
#include "snapshotter/layer/xattr.h"
#include "snapshotter/store/tree_walk.h"

namespace berth::erofs {
namespace {

using FileId = std::pair<dev_t, ino_t>;

// What overlayfs reads from a lower layer.
constexpr const char* kOverlayXattrs[] = {"trusted.overlay.metacopy", "trusted.overlay.opaque",
                                          "trusted.overlay.redirect"};

absl::StatusOr<Attributes> AttributesOf(BorrowedFd file, const struct stat& info) {
  Attributes attributes;
  attributes.mode = info.st_mode;
  attributes.uid = info.st_uid;
  attributes.gid = info.st_gid;
  attributes.modified = info.st_mtim;
  attributes.device = info.st_rdev;
  BERTH_ASSIGN_OR_RETURN(attributes.xattrs, layer::ReadImageXattrs(file));
  for (const char* name : kOverlayXattrs) {
    absl::StatusOr<std::string> value = layer::ReadXattr(file, name);
    if (value.ok()) attributes.xattrs.emplace_back(name, *std::move(value));
  }
  return attributes;
}

class TreeReader {
 public:
  TreeReader(ImageWriter& writer, const struct stat& root) : writer_(writer) {
    known_[{root.st_dev, root.st_ino}] = ImageTree::kRoot;
  }

  absl::Status Add(BorrowedFd directory, const std::string& name, const struct stat& info) {
    struct stat above;
    if (::fstat(directory.get(), &above) != 0) return ErrnoStatus(errno, "fstat");
    const auto parent = known_.find({above.st_dev, above.st_ino});
    if (parent == known_.end()) {
      return absl::AbortedError("the directory was changed while it was read");
    }
    const Number in = parent->second;
    const bool is_directory = S_ISDIR(info.st_mode);
    if (!is_directory && info.st_nlink > 1) {
      const auto known = known_.find({info.st_dev, info.st_ino});
      if (known != known_.end()) {
        writer_.tree().Link(in, name, known->second);
        return absl::OkStatus();
      }
    }
    const bool is_file = S_ISREG(info.st_mode);
    BERTH_ASSIGN_OR_RETURN(
        const UniqueFd file,
        OpenAt(directory, name,
               (is_file || is_directory ? O_RDONLY | O_NONBLOCK : O_PATH) | O_NOFOLLOW));
    BERTH_ASSIGN_OR_RETURN(Attributes attributes, AttributesOf(file, info));
    const Number made = writer_.tree().Make(in, name, std::move(attributes));
    if (is_directory || info.st_nlink > 1) known_[{info.st_dev, info.st_ino}] = made;
    if (S_ISLNK(info.st_mode)) return ReadLink(directory, name, made);
    if (!is_file) return absl::OkStatus();
    return writer_.WriteData(
        made, static_cast<uint64_t>(info.st_size),
        [&](BorrowedFd image, int64_t begin) { return layer::CopyBytes(file, image, begin); });
  }

 private:
  absl::Status ReadLink(BorrowedFd directory, const std::string& name, Number made) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = ::readlinkat(directory.get(), name.c_str(), target.data(), target.size());
    if (size < 0) return ErrnoStatus(errno, "readlink", name);
    target.resize(static_cast<size_t>(size));
    writer_.tree().inode(made).link_target = std::move(target);
    return absl::OkStatus();
  }

  ImageWriter& writer_;
  absl::flat_hash_map<FileId, Number> known_;  // directories, and files with several names
};

}  // namespace

absl::Status WriteTreeImage(BorrowedFd directory, BorrowedFd image) {
  struct stat root;
  if (::fstat(directory.get(), &root) != 0) return ErrnoStatus(errno, "fstat");
  BERTH_ASSIGN_OR_RETURN(Attributes attributes, AttributesOf(directory, root));
  ImageWriter writer(image, attributes);
  TreeReader reader(writer, root);
  BERTH_RETURN_IF_ERROR(snapshots::WalkTree(
      directory, [&](BorrowedFd parent, const std::string& name, const struct stat& info) {
        return Annotate(reader.Add(parent, name, info), absl::StrCat("\"", name, "\""));
      }));
  return writer.Finish();
}

}  // namespace berth::erofs
