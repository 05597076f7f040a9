// The overlayfs backend: each layer is the upper directory of one overlay, and a mount stacks them.
//
//   <root>/layers/<id>/fs     what the layer adds to its parent (whiteouts as overlayfs writes
//   them) <root>/layers/<id>/work   overlayfs's scratch space; only where the layer was made by
//   Prepare
//
// Capability "rebase": a layer is independent of its parent, so Commit may choose it. Thread-safe
// (see DirectorySnapshotter).
#ifndef BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_SNAPSHOTTER_H_
#define BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_SNAPSHOTTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/sqlite/database.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

struct OverlayOptions {
  std::string root;                        // its own directory; made if it is missing
  std::vector<std::string> mount_options;  // further ones for every overlay mount
};

// The name that clients use: "overlayfs". Blocks. Errors: FAILED_PRECONDITION for a filesystem that
// overlayfs cannot use.
absl::StatusOr<std::unique_ptr<Snapshotter>> OpenOverlaySnapshotter(const OverlayOptions& options,
                                                                    sqlite::Database& database);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_SNAPSHOTTER_H_
