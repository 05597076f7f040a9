#include "server/content/content_collector.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/digest/digest.h"
#include "base/status/status_macros.h"
#include "server/metadata/content_table.h"
#include "server/metadata/gc_labels.h"

namespace berth::content {

using metadata::ObjectId;
using metadata::ObjectKind;
using metadata::Rooted;

absl::Status BlobCollector::ForEach(sqlite::Connection& connection, absl::Time,
                                    absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row, connection.Prepare("SELECT ns, digest FROM blobs"));
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    visit({ObjectKind::kContent, std::string(row.ColumnText(0)), std::string(row.ColumnText(1))},
          Rooted::kNo);
  }
}

// What a blob keeps alive is in its labels (containerd.io/gc.ref.*).
absl::Status BlobCollector::References(sqlite::Connection&, const ObjectId&,
                                       absl::FunctionRef<void(ObjectId)>) {
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ObjectId>> BlobCollector::RemoveRecords(
    sqlite::Connection& connection, absl::Span<const ObjectId> objects) {
  std::vector<ObjectId> removed;
  for (const ObjectId& object : objects) {
    const absl::Status deleted = metadata::DeleteBlob(connection, object.ns, object.name);
    if (absl::IsNotFound(deleted)) continue;
    BERTH_RETURN_IF_ERROR(deleted) << "collect content " << object.name;
    BERTH_RETURN_IF_ERROR(metadata::RemoveGcLabels(connection, object));
    removed.push_back(object);
  }
  return removed;
}

absl::Status BlobCollector::RemoveData(absl::Span<const ObjectId> removed) {
  std::vector<Digest> digests;
  for (const ObjectId& object : removed) {
    store_.PublishDelete(object.ns, object.name);
    absl::StatusOr<Digest> digest = Digest::Parse(object.name);
    if (digest.ok()) digests.push_back(*std::move(digest));
  }
  return store_.RemoveUnnamed(digests);
}

absl::Status IngestCollector::ForEach(sqlite::Connection& connection, absl::Time now,
                                      absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT ns, ref, expires_at FROM ingests"));
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    const int64_t expires_at = row.ColumnInt64(2);  // 0: only a lease keeps it
    const bool is_alive = expires_at != 0 && absl::FromUnixNanos(expires_at) > now;
    visit({ObjectKind::kIngest, std::string(row.ColumnText(0)), std::string(row.ColumnText(1))},
          is_alive ? Rooted::kYes : Rooted::kNo);
  }
}

absl::Status IngestCollector::References(sqlite::Connection& connection, const ObjectId& object,
                                         absl::FunctionRef<void(ObjectId)> visit) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<metadata::IngestRow> row,
                         metadata::FindIngest(connection, object.ns, object.name));
  if (row.has_value() && !row->expected.empty()) {
    visit({ObjectKind::kContent, object.ns, row->expected});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ObjectId>> IngestCollector::RemoveRecords(
    sqlite::Connection& connection, absl::Span<const ObjectId> objects) {
  std::vector<ObjectId> removed;
  for (const ObjectId& object : objects) {
    if (store_.IsLocked(object.ns, object.name)) continue;
    const absl::Status deleted = metadata::DeleteIngest(connection, object.ns, object.name);
    if (absl::IsNotFound(deleted)) continue;
    BERTH_RETURN_IF_ERROR(deleted) << "collect upload \"" << object.name << "\"";
    removed.push_back(object);
  }
  return removed;
}

absl::Status IngestCollector::RemoveData(absl::Span<const ObjectId> removed) {
  if (removed.empty()) return absl::OkStatus();
  return store_.RemoveUnnamedIngests();
}

}  // namespace berth::content
