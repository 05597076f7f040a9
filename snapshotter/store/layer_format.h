// What differs between backends that keep each layer in a directory: what is in that directory, and
// which mounts show it. DirectorySnapshotter does the rest.
//
// Thread-safe (implementations are immutable). Owned by DirectorySnapshotter.
#ifndef BERTH_SNAPSHOTTER_STORE_LAYER_FORMAT_H_
#define BERTH_SNAPSHOTTER_STORE_LAYER_FORMAT_H_

#include <optional>
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
  virtual absl::Status Fill(BorrowedFd directory, Kind kind, BorrowedFd parent,
                            const Labels& labels) const = 0;

  // The part of a layer's directory that is its content.
  virtual absl::StatusOr<UniqueFd> OpenContent(BorrowedFd directory) const = 0;

  virtual std::vector<Mount> MountsOf(const LayerStack& stack) const = 0;

  // The rest concerns backends whose committed layers have another form than active ones. `layer`
  // is the path of a layer's directory.

  // Before the record of a commit: makes the committed form, durable, beside the content, and
  // measures it. It counts once the record is written; until then, and where it never is, the
  // content stays what it was. Nothing: the content is the form.
  virtual absl::StatusOr<std::optional<Usage>> Freeze(const std::string& layer) const {
    return std::nullopt;
  }
  // After each Freeze that succeeded, one of two. Thaw: there will be no record.
  virtual void Thaw(const std::string& layer) const {}
  // After the record: drops what the committed form replaces. What a crash leaves is done by Show.
  virtual absl::Status Settle(const std::string& layer) const { return absl::OkStatus(); }
  // Makes a committed layer's content be where MountsOf says. Idempotent.
  virtual absl::Status Show(const std::string& layer) const { return absl::OkStatus(); }
  // Before the directory of a layer goes, whatever its state.
  virtual absl::Status Hide(const std::string& layer) const { return absl::OkStatus(); }
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_LAYER_FORMAT_H_
