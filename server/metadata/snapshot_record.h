// Rows of the table `snapshots`: which snapshot of a backend a namespace's key or name means.
//
// Invariants: a row's parent is a committed row of the same namespace and snapshotter; for each row
// the backend has a snapshot under backend_key, made and renamed in the same transactions; a
// backend key that lost its row stands in `snapshot_garbage` until the backend has removed it.
// Thread-compatible functions, each inside the transaction whose connection it gets.
#ifndef BERTH_SERVER_METADATA_SNAPSHOT_RECORD_H_
#define BERTH_SERVER_METADATA_SNAPSHOT_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/sqlite/connection.h"
#include "proto/containerd/services/snapshots/v1/snapshots.pb.h"

namespace berth::metadata {

using SnapshotInfo = containerd::services::snapshots::v1::Info;

// Where a key lives.
struct SnapshotSpace {
  std::string ns;
  std::string snapshotter;
};

struct SnapshotRecord {
  SnapshotInfo info;
  std::string backend_key;
};

struct SnapshotGarbage {
  int64_t number = 0;
  std::string snapshotter;
  std::string backend_key;
};

// "view", "active", "committed": the words of filters and messages.
std::string SnapshotKindName(containerd::services::snapshots::v1::Kind kind);

// Nothing when there is none.
absl::StatusOr<std::optional<SnapshotRecord>> FindSnapshot(sqlite::Connection& connection,
                                                           const SnapshotSpace& space,
                                                           absl::string_view key);
// Errors: NOT_FOUND.
absl::StatusOr<SnapshotRecord> GetSnapshot(sqlite::Connection& connection,
                                           const SnapshotSpace& space, absl::string_view key);
// Errors: NOT_FOUND, INVALID_ARGUMENT when it is not committed.
absl::StatusOr<SnapshotRecord> GetParentSnapshot(sqlite::Connection& connection,
                                                 const SnapshotSpace& space,
                                                 absl::string_view name);

// Errors: ALREADY_EXISTS.
absl::Status InsertSnapshot(sqlite::Connection& connection, const SnapshotSpace& space,
                            const SnapshotRecord& record);
// The row of `key` becomes `record`, also under another name.
absl::Status ReplaceSnapshot(sqlite::Connection& connection, const SnapshotSpace& space,
                             absl::string_view key, const SnapshotRecord& record);
// Deletes the row and marks its backend key as garbage, unless another row shares that. Errors:
// NOT_FOUND, FAILED_PRECONDITION (it has children).
absl::Status EraseSnapshot(sqlite::Connection& connection, const SnapshotSpace& space,
                           absl::string_view key);

// At most `limit` rows with keys after `after`, in order.
absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(sqlite::Connection& connection,
                                                        const SnapshotSpace& space,
                                                        absl::string_view after, int limit);

// All that waits for its backend, in the order in which it was erased (children first).
absl::StatusOr<std::vector<SnapshotGarbage>> ListSnapshotGarbage(sqlite::Connection& connection);
absl::Status ForgetSnapshotGarbage(sqlite::Connection& connection, int64_t number);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_SNAPSHOT_RECORD_H_
