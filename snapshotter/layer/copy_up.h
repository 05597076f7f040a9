// Finds a file of the layers below, so that a layer can take it over before it links to it.
//
// Invariant: nothing outside the layers is opened: every step is a name of an open directory, and
// no link is followed. What a whiteout or an opaque directory hides is not found. Thread-safe
// functions.
#ifndef BERTH_SNAPSHOTTER_LAYER_COPY_UP_H_
#define BERTH_SNAPSHOTTER_LAYER_COPY_UP_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/os/unique_fd.h"

namespace berth::layer {

// The regular file `path` (LayerPath text) that a stack of overlay layers, the nearest first,
// shows. Errors: NOT_FOUND (ENOENT).
absl::StatusOr<UniqueFd> OpenFileBelow(absl::Span<const UniqueFd> lowers, absl::string_view path);

// The directory that the stack shows as `path`, links followed inside of each layer: that of the
// nearest layer which has it. Errors: NOT_FOUND (ENOENT), also where something else stands there.
absl::StatusOr<UniqueFd> OpenDirectoryBelow(absl::Span<const UniqueFd> lowers,
                                            absl::string_view path);

// Writes all bytes of `from` to `to`, from `begin` on. Blocks.
absl::Status CopyBytes(BorrowedFd from, BorrowedFd to, int64_t begin);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_COPY_UP_H_
