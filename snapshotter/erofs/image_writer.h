// Writes one EROFS image in one pass: the data of files as it comes, then inodes and directories,
// and the superblock last.
//
// Invariant: until Finish has returned OK the file has no superblock and cannot be mounted. The
// same tree, filled in the same order, gives the same bytes. Data of files that were replaced stays
// in the image unnamed. Memory grows with the tree only. Thread-compatible. Owned by whoever fills
// the image.
#ifndef BERTH_SNAPSHOTTER_EROFS_IMAGE_WRITER_H_
#define BERTH_SNAPSHOTTER_EROFS_IMAGE_WRITER_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "snapshotter/erofs/image_tree.h"

namespace berth::erofs {

class ImageWriter {
 public:
  // Writes a file's bytes to `image` from `begin` on, and nothing beyond its size; what it leaves
  // out is zero.
  using DataWriter = absl::FunctionRef<absl::Status(BorrowedFd image, int64_t begin)>;

  // `image`: an empty file, open for writing; borrowed.
  ImageWriter(BorrowedFd image, const Attributes& root) : image_(image), tree_(root) {}

  ImageTree& tree() { return tree_; }
  const ImageTree& tree() const { return tree_; }
  // The data of `file`, which has none yet. Errors: those of `write`; RESOURCE_EXHAUSTED for an
  // image of 16 TiB. Blocks.
  absl::Status WriteData(Number file, uint64_t size_bytes, DataWriter write);
  // Writes everything else. Errors: INVALID_ARGUMENT for attributes or names that the format
  // cannot hold; those of the system. Blocks.
  absl::Status Finish();

 private:
  BorrowedFd image_;
  ImageTree tree_;
  uint64_t next_block_ = 1;  // the first holds the superblock
};

// What an image says of itself.
struct ImageInfo {
  uint64_t inodes = 0;
  uint64_t blocks = 0;
  int64_t disk_bytes = 0;  // that its file takes
};
// Errors: DATA_LOSS for what is no image of ours, or a damaged superblock. Blocks.
absl::StatusOr<ImageInfo> ReadImageInfo(BorrowedFd image);

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_IMAGE_WRITER_H_
