// The erofs backend: each committed layer is one EROFS image, mounted from its file and stacked by
// overlayfs.
//
//   <root>/layers/<id>/fs           an active layer's files; a committed one's image is mounted
//   here <root>/layers/<id>/work         overlayfs's scratch space, where the layer was made by
//   Prepare <root>/layers/<id>/layer.erofs  the image
//
// An unpacking writes the image itself and leaves fs empty (Description::image); what was written
// into fs instead becomes an image at Commit. Images are mounted when a snapshot above them is made
// or its mounts are asked for, and stay mounted until they are removed, also when the daemon ends:
// containers that shims start again find them. Capability "rebase". Thread-safe (see
// DirectorySnapshotter).
#ifndef BERTH_SNAPSHOTTER_EROFS_EROFS_SNAPSHOTTER_H_
#define BERTH_SNAPSHOTTER_EROFS_EROFS_SNAPSHOTTER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/sqlite/database.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

struct ErofsOptions {
  std::string root;  // its own directory; made if it is missing
};

// The name that clients use: "erofs". Blocks. Errors: FAILED_PRECONDITION where the kernel cannot
// mount images from files, or overlayfs cannot use the filesystem.
absl::StatusOr<std::unique_ptr<Snapshotter>> OpenErofsSnapshotter(const ErofsOptions& options,
                                                                  sqlite::Database& database);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_EROFS_EROFS_SNAPSHOTTER_H_
