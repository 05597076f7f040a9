// What this kernel's overlayfs can and needs. Found out once, when the backend opens. Thread-safe
// functions.
#ifndef BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_FEATURES_H_
#define BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_FEATURES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::snapshots {

// The options every overlay mount with layers below `root` starts with: "index=off" where the
// kernel knows that feature (an index would refuse an upper directory that is mounted again on
// other lower ones), "userxattr" inside a user namespace, where trusted.* attributes are forbidden.
absl::StatusOr<std::vector<std::string>> RequiredOverlayOptions(absl::string_view root);

// Makes an overlay whose layers lie below `root`, attached nowhere, and drops it. Errors:
// FAILED_PRECONDITION saying why `root` is no place for overlays. Blocks.
absl::Status ProbeOverlay(const std::string& root, const std::vector<std::string>& options);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_FEATURES_H_
