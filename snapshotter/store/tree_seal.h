// Measures the tree of a layer, and makes it durable before a record may call it committed.
//
// Sizes are blocks on disk, as du(1) counts them, and a file with several links counts once.
// Thread-safe functions.
#ifndef BERTH_SNAPSHOTTER_STORE_TREE_SEAL_H_
#define BERTH_SNAPSHOTTER_STORE_TREE_SEAL_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/os/unique_fd.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

// What `root` and everything below it takes. Blocks: reads the tree.
absl::StatusOr<Usage> MeasureTree(BorrowedFd root);

// Returns when every byte, name and attribute of the tree is on the disk, and the names in `above`,
// the directories over it (on the same filesystem). `usage` is what MeasureTree said. Blocks.
// Errors: also those of earlier writes that never reached the disk.
absl::Status SealTree(BorrowedFd root, const Usage& usage, absl::Span<const BorrowedFd> above);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_TREE_SEAL_H_
