// The records of the backends' layers: one row per snapshot, all backends in one table.
//
// Invariant: a row's parent is a committed row of the same driver; a row with children is never
// deleted (also a foreign key). Committing changes kind and key of a row in place, so that its
// number and its directory stay. Immutable; every call runs inside the transaction whose connection
// it gets.
#ifndef BERTH_SNAPSHOTTER_STORE_LAYER_TABLE_H_
#define BERTH_SNAPSHOTTER_STORE_LAYER_TABLE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/sqlite/connection.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

// The table's part of the database schema.
extern const char kLayerTableSchema[];

struct LayerRecord {
  int64_t number = 0;
  int64_t parent_number = 0;  // 0: none
  Info info;
  std::string directory;  // below layers/; empty for a view that shows its parent's
  Usage usage;            // of committed ones
};

struct NewLayer {
  Kind kind = Kind::kActive;
  absl::string_view key;
  absl::string_view parent;
  absl::string_view directory;
  const Labels& labels;
};

struct LayerCommit {
  absl::string_view key;
  absl::string_view name;
  absl::string_view parent;  // empty: stays
  Usage usage;
  const Labels& labels;
};

class LayerTable {
 public:
  explicit LayerTable(std::string driver) : driver_(std::move(driver)) {}

  // Errors: NOT_FOUND.
  absl::StatusOr<LayerRecord> Get(sqlite::Connection& connection, absl::string_view key) const;
  // A committed one, to be a parent. Errors: NOT_FOUND, INVALID_ARGUMENT.
  absl::StatusOr<LayerRecord> GetParent(sqlite::Connection& connection,
                                        absl::string_view name) const;
  // The directories of all ancestors, the parent first.
  absl::StatusOr<std::vector<std::string>> AncestorDirectories(sqlite::Connection& connection,
                                                               const LayerRecord& record) const;

  // Errors: ALREADY_EXISTS, NOT_FOUND and INVALID_ARGUMENT (parent).
  absl::StatusOr<LayerRecord> Insert(sqlite::Connection& connection, const NewLayer& layer) const;
  // Errors: as Snapshotter::Commit.
  absl::Status Commit(sqlite::Connection& connection, const LayerCommit& commit) const;
  // Returns the record that was. Errors: NOT_FOUND, FAILED_PRECONDITION (children).
  absl::StatusOr<LayerRecord> Remove(sqlite::Connection& connection, absl::string_view key) const;
  // Errors: NOT_FOUND, INVALID_ARGUMENT.
  absl::StatusOr<Info> UpdateLabels(sqlite::Connection& connection, const Info& info,
                                    const std::vector<std::string>& field_paths) const;

  // At most `limit` records with keys after `after`, in order.
  absl::StatusOr<std::vector<LayerRecord>> List(sqlite::Connection& connection,
                                                absl::string_view after, int limit) const;

  const std::string& driver() const { return driver_; }

 private:
  absl::Status ReplaceLabels(sqlite::Connection& connection, int64_t number,
                             const Labels& labels) const;
  absl::StatusOr<Labels> ReadLabels(sqlite::Connection& connection, int64_t number) const;
  absl::StatusOr<LayerRecord> ReadRow(sqlite::Connection& connection,
                                      const sqlite::Statement& row) const;

  const std::string driver_;
};

// Applies an update's field paths to `labels`: "labels" or none replaces all, "labels.<key>" sets
// one or, when `wanted` lacks it, deletes it. Labels with empty values are dropped. Errors:
// INVALID_ARGUMENT for any other path.
absl::Status ApplyLabelPaths(const Labels& wanted, const std::vector<std::string>& field_paths,
                             absl::string_view name, Labels& labels);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_STORE_LAYER_TABLE_H_
