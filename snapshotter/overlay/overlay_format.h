// Layers that overlayfs stacks: fs/ is what a layer adds, work/ overlayfs's scratch space.
//
// A snapshot with the labels containerd.io/snapshot/{uid,gid}mapping ("0:100000:65536") is for a
// user namespace: its own root directory belongs to the namespace's root. Its mounts are as without
// them, since clients make them, too: whoever runs a container on it shows the layers below by the
// maps.
//
// Immutable. Owned by DirectorySnapshotter.
#ifndef BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_FORMAT_H_
#define BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_FORMAT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "snapshotter/api/snapshotter.h"
#include "snapshotter/store/layer_format.h"

namespace berth::snapshots {

class OverlayFormat : public LayerFormat {
 public:
  static constexpr char kContent[] = "fs";
  static constexpr char kWork[] = "work";

  // `options`: of every overlay mount.
  explicit OverlayFormat(std::vector<std::string> options) : options_(std::move(options)) {}

  bool ViewNeedsDirectory() const override { return false; }
  bool CanRebase() const override { return true; }
  absl::Status Fill(BorrowedFd directory, Kind kind, BorrowedFd parent,
                    const Labels& labels) const override;
  absl::StatusOr<UniqueFd> OpenContent(BorrowedFd directory) const override;
  std::vector<Mount> MountsOf(const LayerStack& stack) const override;

  // `layer`: the path of a layer's directory.
  static std::string ContentPath(const std::string& layer);

 private:
  const std::vector<std::string> options_;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_OVERLAY_OVERLAY_FORMAT_H_
