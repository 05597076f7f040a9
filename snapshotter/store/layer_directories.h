// The directories of one backend's layers:
//
//   <root>/new/<id>          being filled; never named by a record
//   <root>/layers/<id>       complete; named by a record, or about to be
//   <root>/removed/<id>      no record names it any more; the reaper deletes it
//   <root>/quarantine/<id>   found at start without a record and not empty
//
// Invariant: a directory under layers/ or removed/ is whole, and an id is never used twice. Ids are
// random, and every rename refuses to replace. Thread-safe: it holds only descriptors.
#ifndef BERTH_SNAPSHOTTER_STORE_LAYER_DIRECTORIES_H_
#define BERTH_SNAPSHOTTER_STORE_LAYER_DIRECTORIES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"

namespace berth::snapshots {

class LayerDirectories {
 public:
  // A directory under new/. The destructor discards it unless it was published.
  class Staged {
   public:
    Staged(Staged&& other) noexcept;
    Staged& operator=(Staged&&) = delete;
    ~Staged();

    const std::string& id() const { return id_; }
    BorrowedFd directory() const { return directory_; }
    // Moves it to layers/.
    absl::Status Publish();

   private:
    friend class LayerDirectories;
    Staged(const LayerDirectories& owner, std::string id, UniqueFd directory);

    const LayerDirectories* owner_;  // null: published or moved from
    std::string id_;
    UniqueFd directory_;
  };

  // Makes what is missing under `root`. Errors: FAILED_PRECONDITION when the filesystem does not
  // tell the types of directory entries, which overlayfs needs.
  static absl::StatusOr<LayerDirectories> Open(absl::string_view root);

  // An unused id.
  static std::string NewId();
  absl::StatusOr<Staged> Stage(const std::string& id) const;

  absl::StatusOr<UniqueFd> OpenLayer(const std::string& id) const;
  std::string LayerPath(absl::string_view id) const;
  std::string RemovedPath(absl::string_view id) const;  // after Retire

  // layers/ -> removed/. A layer without a directory is no error.
  absl::Status Retire(const std::string& id) const;
  // Brings a layer back from removed/ or quarantine/. Errors: NOT_FOUND.
  absl::Status Restore(const std::string& id) const;
  // layers/ -> quarantine/; an empty one (nothing but empty directories) -> removed/.
  absl::Status Quarantine(const std::string& id) const;
  // Moves all of new/, and what has been in quarantine longer than `keep`, to removed/.
  absl::Status RetireLeftovers(absl::Duration keep) const;

  absl::StatusOr<std::vector<std::string>> ListLayers() const;
  absl::StatusOr<std::vector<std::string>> ListRemoved() const;
  // Deletes removed/<id>. Blocks.
  absl::Status Delete(const std::string& id) const;

  BorrowedFd layers() const { return layers_; }
  const std::string& root() const { return root_; }

 private:
  LayerDirectories() = default;

  std::string root_;
  UniqueFd new_;
  UniqueFd layers_;
  UniqueFd removed_;
  UniqueFd quarantine_;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_LAYER_DIRECTORIES_H_
