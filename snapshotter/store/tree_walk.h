// Visits every entry below a directory without following links or leaving its filesystem tree.
//
// Invariant: an entry that disappears while the walk runs is skipped, so that the tree of a
// snapshot that is in use can be walked. Thread-safe functions.
#ifndef BERTH_SNAPSHOTTER_STORE_TREE_WALK_H_
#define BERTH_SNAPSHOTTER_STORE_TREE_WALK_H_

#include <sys/stat.h>

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/os/unique_fd.h"

namespace berth::snapshots {

// `name` stands in `directory`, which is open for the duration of the call.
using TreeVisitor = absl::FunctionRef<absl::Status(BorrowedFd directory, const std::string& name,
                                                   const struct stat& info)>;

// Visits parents before their children, not `root` itself. Ends at the first error of `visit`.
absl::Status WalkTree(BorrowedFd root, TreeVisitor visit);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_TREE_WALK_H_
