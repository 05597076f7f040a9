// Unpacks one layer, from a blob or from bytes that still arrive, into a sink.
//
// Two threads work on it: one reads, checks the digest and decompresses, the caller's writes files.
// Both digests (of the blob as it is, and of the plain archive in it, the diffID) are taken while
// the bytes stream by. Memory is bounded whatever the size of the layer (see BlockQueue,
// TreeWriter, ImageWriter). Thread-safe function.
#ifndef BERTH_SNAPSHOTTER_LAYER_APPLY_H_
#define BERTH_SNAPSHOTTER_LAYER_APPLY_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest/digest.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/byte_stream.h"
#include "snapshotter/layer/entry_sink.h"
#include "snapshotter/layer/tree_writer.h"

namespace berth::layer {

// Whether a layer of this media type can be unpacked. Errors: UNIMPLEMENTED, saying why (encrypted,
// unknown).
absl::Status CheckLayerMediaType(absl::string_view media_type);

struct ApplyOptions {
  // What the blob is to hash to; checked to its last byte.
  std::optional<Digest> expected;
  // Set from another thread to stop early, with CANCELLED. May be nullptr.
  const std::atomic<bool>* cancelled = nullptr;
};

struct ApplyResult {
  Digest diff_id;
  uint64_t size_bytes = 0;  // of the plain archive
};

// Errors: DATA_LOSS when the blob is not what `expected` says (the blob is then corrupt on disk);
// INVALID_ARGUMENT for a malformed or hostile archive; RESOURCE_EXHAUSTED when the disk is full;
// FAILED_PRECONDITION when the sink needs_parent(): the blob is not read further then.
// After an error the directory holds a part of the layer and is to be thrown away. Blocks.
absl::StatusOr<ApplyResult> ApplyLayer(BorrowedFd blob, const ApplyOptions& options,
                                       EntrySink& sink);
// The same from any source, which is read to its end. Errors: also those of `bytes`.
absl::StatusOr<ApplyResult> ApplyStream(ByteSource& bytes, const ApplyOptions& options,
                                        EntrySink& sink);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_APPLY_H_
