// The rest of a blob by several connections at a time.
//
// Invariant: the sink gets the bytes in order, from one thread at a time. At most kConnections
// segments of kSegmentBytes are held, and kMaxSegments in the whole process: where others hold
// them, fewer connections are used, but one at least. Thread-safe function.
#ifndef BERTH_SERVER_REGISTRY_SEGMENTS_H_
#define BERTH_SERVER_REGISTRY_SEGMENTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/registry/blob_stream.h"
#include "server/registry/origin.h"

namespace berth::registry {

inline constexpr size_t kSegmentBytes = 4u << 20;
inline constexpr int kConnections = 3;
inline constexpr int kMaxSegments = 8;

struct SegmentsResult {
  absl::Status status;
  uint64_t received = 0;
};

// Reads part.begin to part.end of the blob at the host. Errors: those of BlobStream and of the
// sink. Blocks.
SegmentsResult ReadSegments(const HostClient& host, const BlobPart& part, const Context& context,
                            absl::FunctionRef<absl::Status(absl::string_view)> sink);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_SEGMENTS_H_
