// Makes an EROFS image of a directory: of what a container, or a client that unpacks by itself,
// wrote into an overlay's upper directory.
//
// Invariant: only the directory is read, no link is followed, and what overlayfs keeps there for a
// lower layer (whiteouts, opaque, redirected and data-less files) stays. Thread-safe function.
#ifndef BERTH_SNAPSHOTTER_EROFS_TREE_IMAGE_H_
#define BERTH_SNAPSHOTTER_EROFS_TREE_IMAGE_H_

#include "absl/status/status.h"
#include "base/os/unique_fd.h"

namespace berth::erofs {

// `image`: an empty file. Errors: INVALID_ARGUMENT for
// attributes that an image cannot hold; those of the system. Blocks.
absl::Status WriteTreeImage(BorrowedFd directory, BorrowedFd image);

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_TREE_IMAGE_H_
