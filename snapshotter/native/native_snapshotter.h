// The native backend: each layer is a whole tree, copied from its parent when it is prepared. Needs
// nothing of the filesystem (and is quick where that can reflink); costs the most space.
//
//   <root>/layers/<id>        the tree itself
//
// No "rebase": a tree contains its parent's. Thread-safe (see DirectorySnapshotter).
#ifndef BERTH_SNAPSHOTTER_NATIVE_NATIVE_SNAPSHOTTER_H_
#define BERTH_SNAPSHOTTER_NATIVE_NATIVE_SNAPSHOTTER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/sqlite/database.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

struct NativeOptions {
  std::string root;  // its own directory; made if it is missing
};

// The name that clients use: "native". Blocks.
absl::StatusOr<std::unique_ptr<Snapshotter>> OpenNativeSnapshotter(const NativeOptions& options,
                                                                   sqlite::Database& database);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_NATIVE_NATIVE_SNAPSHOTTER_H_
