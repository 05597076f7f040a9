// The layer that an overlay's upper directory is, without mounting or comparing anything.
//
// Thread-safe function.
#ifndef BERTH_SNAPSHOTTER_LAYER_OVERLAY_DIFF_H_
#define BERTH_SNAPSHOTTER_LAYER_OVERLAY_DIFF_H_

#include <vector>

#include "absl/status/status.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/layer_stream.h"

namespace berth::layer {

// Writes everything below `upper` in order of name. `lowers`: the layers below, nearest first; they
// decide whether an opaque directory hides anything. Errors: ABORTED when the upper directory alone
// does not tell (redirected directories, files whose data is below): then the mounted trees must be
// compared, and what was written so far is to be thrown away. Blocks.
absl::Status WriteOverlayDiff(BorrowedFd upper, const std::vector<UniqueFd>& lowers,
                              LayerStream& stream);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_OVERLAY_DIFF_H_
