// Reads a tar stream (ustar, pax, GNU, all kinds of sparse members) by libarchive.
//
// Names come out byte for byte. That holds only while the process stays in the "C" locale: in a
// UTF-8 one libarchive rewrites decomposed names (e + U+0301) to composed ones, and the file that
// the image meant would not exist. So no program that links this may call setlocale().
// Thread-compatible. Borrows the queue it reads from.
#ifndef BERTH_SNAPSHOTTER_LAYER_ARCHIVE_READER_H_
#define BERTH_SNAPSHOTTER_LAYER_ARCHIVE_READER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/block_queue.h"
#include "snapshotter/layer/entry.h"

namespace berth::layer {

class ArchiveReader {
 public:
  static absl::StatusOr<std::unique_ptr<ArchiveReader>> Open(BlockQueue& input);
  ~ArchiveReader();
  ArchiveReader(const ArchiveReader&) = delete;
  ArchiveReader& operator=(const ArchiveReader&) = delete;

  // False at the end of the archive. What the caller left of the last member is skipped. Errors:
  // those of the queue; INVALID_ARGUMENT for a malformed archive. Blocks.
  absl::StatusOr<bool> Next(Entry& entry);
  // Writes the data of the current member to `file`, from `begin` on, holes as holes. Errors: as
  // Next, and those of writing. Blocks.
  absl::Status WriteData(BorrowedFd file, int64_t begin);

 private:
  struct Impl;
  explicit ArchiveReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_ARCHIVE_READER_H_
