// Where the inodes and directories of an image go, and their bytes.
//
// The metadata area begins after the data of files: the root's inode first, since its number has 16
// bits in the superblock, then the others from the root down; after them the full blocks of
// directories. What follows an inode (a link's target, the last part of a directory) never crosses
// a block. Immutable; the tree must not change between Make and Write.
#ifndef BERTH_SNAPSHOTTER_EROFS_IMAGE_LAYOUT_H_
#define BERTH_SNAPSHOTTER_EROFS_IMAGE_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "snapshotter/erofs/image_tree.h"

namespace berth::erofs {

class ImageLayout {
 public:
  using Sink = absl::FunctionRef<absl::Status(absl::string_view data)>;

  // Errors: INVALID_ARGUMENT for attributes that have no place in the format.
  static absl::StatusOr<ImageLayout> Make(const ImageTree& tree, uint64_t first_block);

  uint64_t metadata_block() const { return metadata_block_; }
  uint64_t end_block() const { return end_block_; }
  uint64_t root_nid() const { return places_[ImageTree::kRoot].nid; }
  uint64_t inodes() const { return order_.size(); }
  // Everything from metadata_block() to end_block(), in order.
  absl::Status Write(const ImageTree& tree, Sink sink) const;

 private:
  struct Place {
    uint64_t nid = 0;          // 0: the inode has no name
    Number parent = 0;         // of a directory
    uint64_t size_bytes = 0;   // of what is laid out here: a directory, a link's target
    uint32_t first_block = 0;  // of its full blocks
    uint32_t tail_bytes = 0;   // that follow the inode
    uint32_t xattr_bytes = 0;
  };

  ImageLayout() = default;
  absl::Status PlaceInode(const ImageTree& tree, Number number, uint64_t& position);
  std::string InodeBytes(const ImageTree& tree, Number number) const;
  // The blocks of a directory, the last one as long as it is.
  std::string DirectoryBytes(const ImageTree& tree, Number number) const;

  uint64_t metadata_block_ = 0;
  uint64_t end_block_ = 0;
  std::vector<Number> order_;
  std::vector<Place> places_;  // by number
};

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_IMAGE_LAYOUT_H_
