#include "server/engine/container_table.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "proto/containerd/services/containers/v1/containers.pb.h"
#include "server/engine/names.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

using metadata::ParseRecord;
using sqlite::Connection;
using sqlite::Statement;
using sqlite::WriteMode;

absl::Status NoSuchContainer(absl::string_view text) {
  return absl::NotFoundError(absl::StrCat("No such container: ", text));
}

// What a list can say of a container that another client made.
absl::StatusOr<v1::ContainerSummary> ForeignSummary(absl::string_view id, absl::string_view bytes) {
  using Container = containerd::services::containers::v1::Container;
  BERTH_ASSIGN_OR_RETURN(const auto container,
                         ParseRecord<Container>(bytes, absl::StrCat("container ", id)));
  v1::ContainerSummary summary;
  summary.set_id(std::string(id));
  summary.set_image(container.image());
  *summary.mutable_created_at() = container.created_at();
  summary.mutable_labels()->insert(container.labels().begin(), container.labels().end());
  return summary;
}

// Ids of rows that have no record. Both indexes are walked in the same order.
absl::StatusOr<absl::flat_hash_set<std::string>> UnfinishedCreations(Connection& connection,
                                                                     absl::string_view ns) {
  absl::flat_hash_set<std::string> ids;
  BERTH_ASSIGN_OR_RETURN(
      Statement row,
      connection.Prepare("SELECT e.id FROM engine_containers e WHERE e.ns = ? AND NOT EXISTS "
                         "(SELECT 1 FROM containers c WHERE c.ns = e.ns AND c.id = e.id)"));
  row.Bind(ns);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return ids;
    ids.emplace(row.ColumnText(0));
  }
}

absl::Status VisitForeign(Connection& connection, absl::string_view ns,
                          absl::FunctionRef<absl::Status(const ContainerTable::StoredRow&)> visit) {
  v1::State state;
  state.set_status(v1::STATUS_CREATED);
  const std::string state_bytes = state.SerializeAsString();
  BERTH_ASSIGN_OR_RETURN(
      Statement row,
      connection.Prepare("SELECT c.id, c.record FROM containers c WHERE c.ns = ? AND NOT EXISTS "
                         "(SELECT 1 FROM engine_containers e WHERE e.ns = c.ns AND e.id = c.id)"));
  row.Bind(ns);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(const v1::ContainerSummary summary,
                           ForeignSummary(row.ColumnText(0), row.ColumnBlob(1)));
    const std::string bytes = summary.SerializeAsString();
    const absl::Time created = metadata::FromTimestamp(summary.created_at());
    BERTH_RETURN_IF_ERROR(visit({.id = summary.id(),
                                 .name = summary.id(),
                                 .created_at = absl::ToUnixNanos(created),
                                 .state = state_bytes,
                                 .summary = bytes}));
  }
}

}  // namespace

absl::Status DamagedRow(absl::string_view id) {
  return absl::DataLossError(
      absl::StrCat("the engine's row of container ", id, " is damaged: remove the container"));
}

absl::Status ContainerTable::NameTaken(Connection& connection, absl::string_view ns,
                                       absl::string_view name, absl::string_view own_id) {
  BERTH_ASSIGN_OR_RETURN(
      Statement row,
      connection.Prepare("SELECT id FROM engine_containers WHERE ns = ? AND name = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(ns, name).Step());
  if (!found || row.ColumnText(0) == own_id) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      "Conflict. The container name \"/", name, "\" is already in use by container \"",
      row.ColumnText(0),
      "\". You have to remove (or rename) that container to be able to reuse that name."));
}

absl::Status ContainerTable::Reserve(const ContainerKey& key, absl::string_view name) {
  return database_.Write(WriteMode::kDelayed, [&](Connection& connection) -> absl::Status {
    BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, key.ns));
    BERTH_RETURN_IF_ERROR(NameTaken(connection, key.ns, name, key.id));
    v1::State state;
    state.set_status(v1::STATUS_CREATED);
    return connection.Run(
        "INSERT INTO engine_containers (ns, id, name, created_at, state, summary) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        key.ns, key.id, name, absl::ToUnixNanos(absl::Now()),
        sqlite::Blob{state.SerializeAsString()}, sqlite::Blob{""});
  });
}

absl::Status ContainerTable::SetSummary(const ContainerKey& key,
                                        const v1::ContainerSummary& summary) {
  return database_.Write(WriteMode::kDelayed, [&](Connection& connection) -> absl::Status {
    BERTH_RETURN_IF_ERROR(
        connection.Run("UPDATE engine_containers SET summary = ? WHERE ns = ? AND id = ?",
                       sqlite::Blob{summary.SerializeAsString()}, key.ns, key.id));
    return connection.Changes() == 0 ? NoSuchContainer(key.id) : absl::OkStatus();
  });
}

absl::StatusOr<ContainerRow> ContainerTable::Get(const ContainerKey& key) {
  ContainerRow result;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare(
            "SELECT name, state, summary FROM engine_containers WHERE ns = ? AND id = ?"));
    BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(key.ns, key.id).Step());
    if (!found) return NoSuchContainer(key.id);
    result.name = std::string(row.ColumnText(0));
    BERTH_ASSIGN_OR_RETURN(result.state, ParseRecord<v1::State>(row.ColumnBlob(1), key.id));
    BERTH_ASSIGN_OR_RETURN(result.summary,
                           ParseRecord<v1::ContainerSummary>(row.ColumnBlob(2), key.id));
    return absl::OkStatus();
  }));
  return result;
}

absl::StatusOr<v1::State> ContainerTable::ChangeState(const ContainerKey& key,
                                                      absl::FunctionRef<bool(v1::State&)> change) {
  v1::State state;
  BERTH_RETURN_IF_ERROR(
      database_.Write(WriteMode::kDelayed, [&](Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(
            Statement row,
            connection.Prepare("SELECT state FROM engine_containers WHERE ns = ? AND id = ?"));
        BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(key.ns, key.id).Step());
        if (!found) return NoSuchContainer(key.id);
        BERTH_ASSIGN_OR_RETURN(state, ParseRecord<v1::State>(row.ColumnBlob(0), key.id));
        if (!change(state)) return absl::OkStatus();
        return connection.Run("UPDATE engine_containers SET state = ? WHERE ns = ? AND id = ?",
                              sqlite::Blob{state.SerializeAsString()}, key.ns, key.id);
      }));
  return state;
}

absl::Status ContainerTable::Rename(const ContainerKey& key, absl::string_view name) {
  return database_.Write(WriteMode::kDelayed, [&](Connection& connection) -> absl::Status {
    BERTH_RETURN_IF_ERROR(NameTaken(connection, key.ns, name, key.id));
    BERTH_RETURN_IF_ERROR(connection.Run(
        "UPDATE engine_containers SET name = ? WHERE ns = ? AND id = ?", name, key.ns, key.id));
    return connection.Changes() == 0 ? NoSuchContainer(key.id) : absl::OkStatus();
  });
}

absl::Status ContainerTable::Remove(const ContainerKey& key) {
  return database_.Write(WriteMode::kDelayed, [&](Connection& connection) {
    return connection.Run("DELETE FROM engine_containers WHERE ns = ? AND id = ?", key.ns, key.id);
  });
}

absl::StatusOr<std::string> ContainerTable::Resolve(absl::string_view ns, absl::string_view text) {
  if (!text.empty() && text[0] == '/') text.remove_prefix(1);
  if (text.empty()) return absl::InvalidArgumentError("no container is named");
  std::vector<std::string> found;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    const auto take = [&](Statement& row) -> absl::Status {
      while (true) {
        BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
        if (!more) return absl::OkStatus();
        found.emplace_back(row.ColumnText(0));
      }
    };
    // A name goes before an id, and a whole id before the beginning of one.
    BERTH_ASSIGN_OR_RETURN(Statement whole,
                           connection.Prepare("SELECT id FROM containers WHERE ns = ? AND id = ?"));
    whole.Bind(ns, text);
    BERTH_RETURN_IF_ERROR(take(whole));
    if (!found.empty()) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(
        Statement named,
        connection.Prepare("SELECT e.id FROM engine_containers e JOIN containers c "
                           "ON c.ns = e.ns AND c.id = e.id WHERE e.ns = ? AND e.name = ?"));
    named.Bind(ns, text);
    BERTH_RETURN_IF_ERROR(take(named));
    if (!found.empty() || !LooksLikeId(text)) return absl::OkStatus();
    const std::string low = absl::AsciiStrToLower(text);
    BERTH_ASSIGN_OR_RETURN(
        Statement prefix,
        connection.Prepare(
            "SELECT id FROM containers WHERE ns = ? AND id >= ? AND id < ? LIMIT 2"));
    prefix.Bind(ns, low, absl::StrCat(low, "g"));
    return take(prefix);
  }));
  if (found.empty()) return NoSuchContainer(text);
  if (found.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("multiple IDs found with provided prefix: ", text));
  }
  return found[0];
}

absl::Status ContainerTable::Visit(absl::string_view ns,
                                   absl::FunctionRef<absl::Status(const StoredRow&)> visit) {
  return database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const auto unfinished, UnfinishedCreations(connection, ns));
    // Without the index (+): by it each row is on another page than the one before it.
    BERTH_ASSIGN_OR_RETURN(Statement row,
                           connection.Prepare("SELECT id, name, created_at, state, summary "
                                              "FROM engine_containers WHERE +ns = ?"));
    row.Bind(ns);
    int64_t visited = 0;
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) break;
      if (!unfinished.empty() && unfinished.contains(row.ColumnText(0))) continue;
      BERTH_RETURN_IF_ERROR(visit({.id = row.ColumnText(0),
                                   .name = row.ColumnText(1),
                                   .created_at = row.ColumnInt64(2),
                                   .state = row.ColumnBlob(3),
                                   .summary = row.ColumnBlob(4)}));
      ++visited;
    }
    // Records of other clients. Counting is an index's work; looking for them is one record's page
    // after the other.
    BERTH_ASSIGN_OR_RETURN(Statement count,
                           connection.Prepare("SELECT COUNT(*) FROM containers WHERE ns = ?"));
    BERTH_ASSIGN_OR_RETURN(const bool counted, count.Bind(ns).Step());
    if (counted && count.ColumnInt64(0) == visited) return absl::OkStatus();
    return VisitForeign(connection, ns, visit);
  });
}

absl::StatusOr<std::vector<v1::ContainerSummary>> ContainerTable::List(absl::string_view ns) {
  std::vector<std::pair<int64_t, v1::ContainerSummary>> found;
  BERTH_RETURN_IF_ERROR(Visit(ns, [&](const StoredRow& row) -> absl::Status {
    v1::ContainerSummary& summary =
        found.emplace_back(row.created_at, v1::ContainerSummary()).second;
    const absl::string_view state = row.state;
    if (!summary.ParseFromArray(row.summary.data(), static_cast<int>(row.summary.size())) ||
        !summary.mutable_state()->ParseFromArray(state.data(), static_cast<int>(state.size()))) {
      return DamagedRow(row.id);
    }
    summary.add_names(std::string(row.name));
    return absl::OkStatus();
  }));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second.id() < b.second.id();
  });
  std::vector<v1::ContainerSummary> list;
  list.reserve(found.size());
  for (auto& [created_at, summary] : found) list.push_back(std::move(summary));
  return list;
}

absl::StatusOr<std::vector<std::pair<ContainerKey, v1::State>>> ContainerTable::ListStates() {
  std::vector<std::pair<ContainerKey, v1::State>> list;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare("SELECT ns, id, state FROM engine_containers ORDER BY created_at"));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      ContainerKey key{std::string(row.ColumnText(0)), std::string(row.ColumnText(1))};
      BERTH_ASSIGN_OR_RETURN(v1::State state, ParseRecord<v1::State>(row.ColumnBlob(2), key.id));
      list.emplace_back(std::move(key), std::move(state));
    }
  }));
  return list;
}

absl::Status ContainerTable::Sweep() {
  return database_.Write(WriteMode::kDelayed, [&](Connection& connection) {
    return connection.Run(
        "DELETE FROM engine_containers WHERE NOT EXISTS (SELECT 1 FROM containers c "
        "WHERE c.ns = engine_containers.ns AND c.id = engine_containers.id)");
  });
}

}  // namespace berth::engine
