// What differs between backends that keep each layer in a directory: what is in that directory, and
// which mounts show it. DirectorySnapshotter does the rest.
//
// Thread-safe (implementations are immutable). Owned by DirectorySnapshotter.
#ifndef BERTH_SNAPSHOTTER_STORE_LAYER_FORMAT_H_
#define BERTH_SNAPSHOTTER_STORE_LAYER_FORMAT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

// An active snapshot or view, by absolute paths of layer directories.
struct LayerStack {
  Kind kind = Kind::kActive;
  std::string path;                    // its own; empty for a view without one
  std::vector<std::string> ancestors;  // the parent first
};

class LayerFormat {
 public:
  virtual ~LayerFormat() = default;

  // Whether a view with a parent has a directory of its own. Every other snapshot has one.
  virtual bool ViewNeedsDirectory() const = 0;
  // Whether a layer that was filled without a parent can be put on one by Commit.
  virtual bool CanRebase() const = 0;

  // Fills the new directory of a snapshot; `parent` is invalid when there is none. Blocks.
  virtual absl::Status Fill(BorrowedFd directory, Kind kind, BorrowedFd parent) const = 0;

  // The part of a layer's directory that is its content.
  virtual absl::StatusOr<UniqueFd> OpenContent(BorrowedFd directory) const = 0;

  virtual std::vector<Mount> MountsOf(const LayerStack& stack) const = 0;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_LAYER_FORMAT_H_
