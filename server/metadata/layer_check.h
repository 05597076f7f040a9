// Whether committed layers are what was recorded of them, and what happens to one that is not.
//
// A layer is right when its tree holds as many files and takes as many bytes on disk as Commit
// measured: what a crash, a full disk or a hand leaves out shows there; changed bytes in a file of
// the same size do not. One that is wrong is moved to quarantine/ and its record goes, with the
// committed layers and views that stand on it, so that the next unpacking makes them anew.
// Thread-safe; owned by server/main, as is what it borrows.
#ifndef BERTH_SERVER_METADATA_LAYER_CHECK_H_
#define BERTH_SERVER_METADATA_LAYER_CHECK_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/sqlite/database.h"
#include "server/metadata/snapshot_record.h"
#include "server/metadata/snapshot_store.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::metadata {

class LayerCheck {
 public:
  struct Layer {
    SnapshotSpace space;
    std::string name;
    std::string directory;  // id
    snapshots::Usage recorded;
  };
  enum class Damaged { kQuarantine, kKeep };

  // `roots`: the directory of each backend, by its name.
  LayerCheck(sqlite::Database& database, SnapshotStore& store,
             std::map<std::string, std::string> roots)
      : database_(database), store_(store), roots_(std::move(roots)) {}

  // All committed layers, children before parents.
  absl::StatusOr<std::vector<Layer>> List();
  // What the layer takes. Errors: DATA_LOSS for a damaged one, which is now out of use with
  // kQuarantine; FAILED_PRECONDITION for a damaged one that an active snapshot stands on: it stays.
  // Blocks: reads the tree.
  absl::StatusOr<snapshots::Usage> Verify(const Layer& layer, Damaged damaged);

 private:
  absl::Status Compare(const Layer& layer, snapshots::Usage& found) const;
  absl::Status Quarantine(const Layer& layer);
  std::string PathOf(const Layer& layer, const char* place) const;

  sqlite::Database& database_;
  SnapshotStore& store_;
  const std::map<std::string, std::string> roots_;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_LAYER_CHECK_H_
