// Compressed bytes to plain ones: gzip by ISA-L, zstd by libzstd, or as they are.
//
// The kind is told from the first bytes and not from the media type: images exist whose "tar.gzip"
// layer is a plain tar. Memory is bounded: 128 KiB of input, and for zstd a window of at most
// 128 MiB. A stream that ends early or is damaged is INVALID_ARGUMENT.
// Thread-compatible.
#ifndef BERTH_SNAPSHOTTER_LAYER_DECOMPRESS_H_
#define BERTH_SNAPSHOTTER_LAYER_DECOMPRESS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "snapshotter/layer/byte_stream.h"

namespace berth::layer {

enum class Compression { kNone, kGzip, kZstd };

// `compressed` is borrowed and must outlive the result. Blocks: reads the first bytes.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenDecompressed(ByteSource& compressed);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_DECOMPRESS_H_
