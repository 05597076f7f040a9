// Copies a whole tree into an empty directory: what the native backend makes of a parent.
//
// Contents, types (devices, FIFOs, sockets, links), hard links, owners, modes, extended attributes,
// holes and times of the copy are those of the original. Data is shared by reflink where the
// filesystem can. Thread-safe function.
#ifndef BERTH_SNAPSHOTTER_NATIVE_TREE_COPY_H_
#define BERTH_SNAPSHOTTER_NATIVE_TREE_COPY_H_

#include "absl/status/status.h"
#include "base/os/unique_fd.h"

namespace berth::snapshots {

// Requires: `target` is an empty directory, `source` does not change meanwhile. Attributes that the
// kernel does not let us set (some of security.*) are left out. Blocks.
absl::Status CopyTree(BorrowedFd source, BorrowedFd target);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_NATIVE_TREE_COPY_H_
