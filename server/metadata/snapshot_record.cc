#include "server/metadata/snapshot_record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/object.h"
#include "server/metadata/record.h"

namespace berth::metadata {

namespace {

namespace api = containerd::services::snapshots::v1;

std::string Quoted(absl::string_view key) { return absl::StrCat("snapshot \"", key, "\""); }

ObjectId IdOf(const SnapshotSpace& space, absl::string_view key) {
  return {ObjectKind::kSnapshot, space.ns, SnapshotObjectName(space.snapshotter, key)};
}

}  // namespace

std::string SnapshotKindName(api::Kind kind) {
  switch (kind) {
    case api::VIEW:
      return "view";
    case api::ACTIVE:
      return "active";
    case api::COMMITTED:
      return "committed";
    default:
      return "unknown";
  }
}

absl::StatusOr<std::optional<SnapshotRecord>> FindSnapshot(sqlite::Connection& connection,
                                                           const SnapshotSpace& space,
                                                           absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT backend_key, record FROM snapshots "
                                            "WHERE ns = ? AND snapshotter = ? AND key = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(space.ns, space.snapshotter, key).Step());
  if (!found) return std::nullopt;
  SnapshotRecord record;
  record.backend_key = std::string(row.ColumnText(0));
  BERTH_ASSIGN_OR_RETURN(record.info, ParseRecord<SnapshotInfo>(row.ColumnBlob(1), Quoted(key)));
  return record;
}

absl::StatusOr<SnapshotRecord> GetSnapshot(sqlite::Connection& connection,
                                           const SnapshotSpace& space, absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(std::optional<SnapshotRecord> record,
                         FindSnapshot(connection, space, key));
  if (!record.has_value()) {
    return absl::NotFoundError(absl::StrCat(Quoted(key), " of snapshotter ", space.snapshotter,
                                            " does not exist in namespace \"", space.ns,
                                            "\": not found"));
  }
  return *std::move(record);
}

absl::StatusOr<SnapshotRecord> GetParentSnapshot(sqlite::Connection& connection,
                                                 const SnapshotSpace& space,
                                                 absl::string_view name) {
  BERTH_ASSIGN_OR_RETURN(SnapshotRecord record, GetSnapshot(connection, space, name),
                         _ << "parent");
  if (record.info.kind() != api::COMMITTED) {
    return absl::InvalidArgumentError(
        absl::StrCat("parent ", Quoted(name), " is ", SnapshotKindName(record.info.kind()),
                     ": only a committed snapshot can have children; commit it first"));
  }
  return record;
}

absl::Status InsertSnapshot(sqlite::Connection& connection, const SnapshotSpace& space,
                            const SnapshotRecord& record) {
  const SnapshotInfo& info = record.info;
  // No parent is NULL, which the foreign key leaves alone.
  const absl::Status inserted = connection.Run(
      "INSERT INTO snapshots (ns, snapshotter, key, parent, backend_key, record) "
      "VALUES (?, ?, ?, nullif(?, ''), ?, ?)",
      space.ns, space.snapshotter, info.name(), info.parent(), record.backend_key,
      sqlite::Blob{info.SerializeAsString()});
  if (absl::IsAlreadyExists(inserted)) {
    return absl::AlreadyExistsError(absl::StrCat(Quoted(info.name()), ": already exists"));
  }
  BERTH_RETURN_IF_ERROR(inserted) << "record " << Quoted(info.name());
  return SetGcLabels(connection, IdOf(space, info.name()), info.labels(), ObjectAge::kNewObject);
}

absl::Status ReplaceSnapshot(sqlite::Connection& connection, const SnapshotSpace& space,
                             absl::string_view key, const SnapshotRecord& record) {
  const SnapshotInfo& info = record.info;
  BERTH_RETURN_IF_ERROR(connection.Run(
      "UPDATE snapshots SET key = ?, parent = nullif(?, ''), backend_key = ?, record = ? "
      "WHERE ns = ? AND snapshotter = ? AND key = ?",
      info.name(), info.parent(), record.backend_key, sqlite::Blob{info.SerializeAsString()},
      space.ns, space.snapshotter, key))
      << "record " << Quoted(info.name());
  if (key != info.name()) {
    BERTH_RETURN_IF_ERROR(RemoveGcLabels(connection, IdOf(space, key)));
  }
  return SetGcLabels(connection, IdOf(space, info.name()), info.labels(), ObjectAge::kMayExist);
}

absl::Status EraseSnapshot(sqlite::Connection& connection, const SnapshotSpace& space,
                           absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotRecord record, GetSnapshot(connection, space, key));
  {
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement child,
        connection.Prepare("SELECT key FROM snapshots "
                           "WHERE ns = ? AND snapshotter = ? AND parent = ? LIMIT 1"));
    BERTH_ASSIGN_OR_RETURN(const bool has_child,
                           child.Bind(space.ns, space.snapshotter, key).Step());
    if (has_child) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot remove ", Quoted(key), ": it is the parent of ",
                       Quoted(child.ColumnText(0)), ", which must be removed first"));
    }
  }
  BERTH_RETURN_IF_ERROR(
      connection.Run("DELETE FROM snapshots WHERE ns = ? AND snapshotter = ? AND key = ?", space.ns,
                     space.snapshotter, key));
  BERTH_RETURN_IF_ERROR(RemoveGcLabels(connection, IdOf(space, key)));
  return connection.Run(
      "INSERT INTO snapshot_garbage (snapshotter, backend_key) SELECT ?1, ?2 WHERE NOT EXISTS "
      "(SELECT 1 FROM snapshots WHERE snapshotter = ?1 AND backend_key = ?2)",
      space.snapshotter, record.backend_key);
}

absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(sqlite::Connection& connection,
                                                        const SnapshotSpace& space,
                                                        absl::string_view after, int limit) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT key, record FROM snapshots WHERE ns = ? AND snapshotter = ? "
                         "AND key > ? ORDER BY key LIMIT ?"));
  row.Bind(space.ns, space.snapshotter, after, limit);
  std::vector<SnapshotInfo> infos;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return infos;
    BERTH_ASSIGN_OR_RETURN(SnapshotInfo info,
                           ParseRecord<SnapshotInfo>(row.ColumnBlob(1), Quoted(row.ColumnText(0))));
    infos.push_back(std::move(info));
  }
}

absl::StatusOr<std::vector<SnapshotGarbage>> ListSnapshotGarbage(sqlite::Connection& connection) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare(
          "SELECT number, snapshotter, backend_key FROM snapshot_garbage ORDER BY number"));
  std::vector<SnapshotGarbage> garbage;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return garbage;
    garbage.push_back(SnapshotGarbage{row.ColumnInt64(0), std::string(row.ColumnText(1)),
                                      std::string(row.ColumnText(2))});
  }
}

absl::Status ForgetSnapshotGarbage(sqlite::Connection& connection, int64_t number) {
  return connection.Run("DELETE FROM snapshot_garbage WHERE number = ?", number);
}

}  // namespace berth::metadata
