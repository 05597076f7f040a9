// The layer that leads from one directory tree to another, found by comparing them.
//
// Thread-safe function.
#ifndef BERTH_SNAPSHOTTER_LAYER_TREE_DIFF_H_
#define BERTH_SNAPSHOTTER_LAYER_TREE_DIFF_H_

#include "absl/status/status.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/layer_stream.h"

namespace berth::layer {

// Writes, in order of name: whatever is new or differs (type, mode, owner, size, time, link target,
// attributes) with the directories it lies in, and a whiteout for whatever is gone. Files that
// agree in all of these are taken as equal, unless both times have no nanoseconds (a copy by a tool
// that drops them): then their bytes are compared. `older` invalid: everything is new. Blocks.
absl::Status WriteTreeDiff(BorrowedFd older, BorrowedFd newer, LayerStream& stream);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_TREE_DIFF_H_
