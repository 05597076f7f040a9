// Layers that become EROFS images when they are committed: see erofs_snapshotter.h for the files.
//
// The image of a commit is written as commit.erofs and gets its name once the record of the commit
// is there; layer.erofs is an unpacking's, and counts only where fs is empty. So a commit that
// fails leaves the snapshot as it was.
//
// Thread-safe: mounting is ordered by a mutex. Owned by DirectorySnapshotter.
#ifndef BERTH_SNAPSHOTTER_EROFS_EROFS_FORMAT_H_
#define BERTH_SNAPSHOTTER_EROFS_EROFS_FORMAT_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"
#include "snapshotter/overlay/overlay_format.h"

namespace berth::snapshots {

class ErofsFormat final : public OverlayFormat {
 public:
  static constexpr char kImage[] = "layer.erofs";

  explicit ErofsFormat(std::vector<std::string> options) : OverlayFormat(std::move(options)) {}

  absl::StatusOr<std::optional<Usage>> Freeze(const std::string& layer) const override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Thaw(const std::string& layer) const override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Settle(const std::string& layer) const override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Show(const std::string& layer) const override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Hide(const std::string& layer) const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static absl::StatusOr<Usage> MakeImage(const std::string& layer);
  absl::Status SettleLocked(const std::string& layer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;  // also orders mounts
  // Layers between Freeze and what follows it: of several commits one at a time.
  mutable absl::flat_hash_set<std::string> frozen_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_EROFS_EROFS_FORMAT_H_
