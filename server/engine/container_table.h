// The engine's rows: names, states and what lists show, one per container that the engine made.
//
// A row is made first (it reserves the name), the container's record second; a row without a record
// is a creation that did not end, is shown to nobody and removed by Sweep. A row goes with its
// record, whoever deletes that (a trigger does). Writes survive the daemon's death at once and
// reach the disk within a second. Thread-safe; all calls block. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_TABLE_H_
#define BERTH_SERVER_ENGINE_CONTAINER_TABLE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/sqlite/database.h"
#include "proto/berth/engine/v1/record.pb.h"
#include "proto/berth/engine/v1/view.pb.h"

namespace berth::engine {

struct ContainerKey {
  std::string ns;
  std::string id;
  friend bool operator==(const ContainerKey&, const ContainerKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ContainerKey& key) {
    return H::combine(std::move(h), key.ns, key.id);
  }
};

struct ContainerRow {
  std::string name;
  v1::State state;
  v1::ContainerSummary summary;  // without state, status and names
};

// The error of a row whose bytes are none of ours.
absl::Status DamagedRow(absl::string_view id);

class ContainerTable {
 public:
  // Of one container; valid while it is visited.
  struct StoredRow {
    absl::string_view id;
    absl::string_view name;
    int64_t created_at = 0;     // nanoseconds since the epoch
    absl::string_view state;    // v1::State
    absl::string_view summary;  // v1::ContainerSummary without state, status and names
  };

  explicit ContainerTable(sqlite::Database& database) : database_(database) {}

  // Errors: ALREADY_EXISTS, naming the container that has the name.
  absl::Status Reserve(const ContainerKey& key, absl::string_view name);
  absl::Status SetSummary(const ContainerKey& key, const v1::ContainerSummary& summary);
  // Errors: NOT_FOUND.
  absl::StatusOr<ContainerRow> Get(const ContainerKey& key);
  // Changes the state in one transaction; `change` returns false to leave it. Errors: NOT_FOUND.
  absl::StatusOr<v1::State> ChangeState(const ContainerKey& key,
                                        absl::FunctionRef<bool(v1::State&)> change);
  // Errors: ALREADY_EXISTS as Reserve; NOT_FOUND.
  absl::Status Rename(const ContainerKey& key, absl::string_view name);
  // A row that is not there is no error.
  absl::Status Remove(const ContainerKey& key);

  // The id of the container that `text` means: a name, an id, or the beginning of exactly one id.
  // Also finds containers that other clients made. Errors: NOT_FOUND, INVALID_ARGUMENT when more
  // than one id begins so.
  absl::StatusOr<std::string> Resolve(absl::string_view ns, absl::string_view text);

  // Every container, in no order; with those of other clients, which count as created. An error
  // of `visit` ends it, and is returned. `visit` must not call the table.
  absl::Status Visit(absl::string_view ns, absl::FunctionRef<absl::Status(const StoredRow&)> visit);
  // The same, parsed, and newest first.
  absl::StatusOr<std::vector<v1::ContainerSummary>> List(absl::string_view ns);
  // All rows of all namespaces.
  absl::StatusOr<std::vector<std::pair<ContainerKey, v1::State>>> ListStates();
  // Removes rows without a record. Requires: no creation runs.
  absl::Status Sweep();

 private:
  absl::Status NameTaken(sqlite::Connection& connection, absl::string_view ns,
                         absl::string_view name, absl::string_view own_id);
  sqlite::Database& database_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_TABLE_H_
