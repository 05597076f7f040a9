// Streams of bytes that are pulled (sources) and pushed (sinks): what decompression, hashing and
// archives are chained from.
//
// Thread-compatible. A stage borrows the stage below it, which must outlive it.
#ifndef BERTH_SNAPSHOTTER_LAYER_BYTE_STREAM_H_
#define BERTH_SNAPSHOTTER_LAYER_BYTE_STREAM_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::layer {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills up to `capacity` bytes and says how many; 0 is the end of the stream. Blocks.
  virtual absl::StatusOr<size_t> Read(char* buffer, size_t capacity) = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Takes all of `bytes`. Blocks.
  virtual absl::Status Write(absl::string_view bytes) = 0;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_BYTE_STREAM_H_
