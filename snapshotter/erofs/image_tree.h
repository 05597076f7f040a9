// The files of one EROFS image while it is being made: inodes and names, without data.
//
// Invariant: every directory but the root has one name; an inode's link count is that of its names
// (of a directory: two and its subdirectories). Memory grows with the number of inodes and names.
// Thread-compatible. Owned by the ImageWriter.
#ifndef BERTH_SNAPSHOTTER_EROFS_IMAGE_TREE_H_
#define BERTH_SNAPSHOTTER_EROFS_IMAGE_TREE_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"

namespace berth::erofs {

using Xattrs = std::vector<std::pair<std::string, std::string>>;

struct Attributes {
  mode_t mode = 0;  // with the file type
  uid_t uid = 0;
  gid_t gid = 0;
  struct timespec modified = {};
  dev_t device = 0;  // of device nodes
  Xattrs xattrs;
};

// Index of an inode.
using Number = uint32_t;

struct Inode {
  Attributes attributes;
  uint64_t size_bytes = 0;
  uint32_t first_block = 0;  // of a file's data
  uint32_t links = 0;
  std::string link_target;                     // of a symbolic link
  absl::btree_map<std::string, Number> names;  // of a directory, in the order of the disk
};

class ImageTree {
 public:
  static constexpr Number kRoot = 0;
  static constexpr Number kNone = UINT32_MAX;

  explicit ImageTree(const Attributes& root);

  Inode& inode(Number number) { return inodes_[number]; }
  const Inode& inode(Number number) const { return inodes_[number]; }
  size_t size() const { return inodes_.size(); }
  bool IsDirectory(Number number) const { return S_ISDIR(inodes_[number].attributes.mode); }

  // kNone where the directory has no such name.
  Number Find(Number directory, absl::string_view name) const;
  // A new inode under a name that is free. Requires: `directory` is one.
  Number Make(Number directory, absl::string_view name, Attributes attributes);
  // One more name for what is no directory. Requires: the name is free.
  void Link(Number directory, absl::string_view name, Number target);
  // Drops the name and, of a directory, all below it. Nothing when there is none.
  void Remove(Number directory, absl::string_view name);

 private:
  std::vector<Inode> inodes_;
};

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_IMAGE_TREE_H_
