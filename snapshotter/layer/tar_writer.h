// Writes a tar stream: ustar, with pax records for whatever ustar cannot say.
//
// The output depends only on the entries. Sizes over 8 GiB, ids over 2,097,151, long or non-ASCII
// names, nanoseconds and extended attributes (as SCHILY.xattr, which every image tool reads) go
// into pax records. Thread-compatible.
#ifndef BERTH_SNAPSHOTTER_LAYER_TAR_WRITER_H_
#define BERTH_SNAPSHOTTER_LAYER_TAR_WRITER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/byte_stream.h"
#include "snapshotter/layer/entry.h"

namespace berth::layer {

class TarWriter {
 public:
  // `below` is borrowed.
  explicit TarWriter(ByteSink& below) : below_(below) {}

  // A member without data (anything but a file with bytes in it).
  absl::Status AddHeader(const Entry& entry);
  // A file with the first `entry.size_bytes` of `file`; holes are read as the zeros they stand for.
  // A file that shrank meanwhile is filled with zeros, so that the archive stays well-formed.
  // Blocks.
  absl::Status AddFile(const Entry& entry, BorrowedFd file);
  // The two zero blocks of the end.
  absl::Status Finish();

 private:
  absl::Status WritePadded(absl::string_view data);
  absl::Status WriteZeros(uint64_t count);
  absl::Status CopyData(BorrowedFd file, uint64_t size);

  ByteSink& below_;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_TAR_WRITER_H_
