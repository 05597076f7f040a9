#include "snapshotter/store/layer_table.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {

const char kLayerTableSchema[] = R"sql(
CREATE TABLE layers (
  number INTEGER PRIMARY KEY,
  driver TEXT NOT NULL,
  key TEXT NOT NULL,
  directory TEXT NOT NULL DEFAULT '',
  kind INTEGER NOT NULL,
  parent INTEGER REFERENCES layers(number),
  created_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL DEFAULT 0,
  inodes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (driver, key)
);
CREATE INDEX layers_by_parent ON layers (parent) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX layers_by_directory ON layers (driver, directory) WHERE directory != '';
CREATE TABLE layer_labels (
  layer INTEGER NOT NULL REFERENCES layers(number) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (layer, key)
) WITHOUT ROWID;
)sql";

namespace {

constexpr char kLabelPathPrefix[] = "labels.";

#define BERTH_LAYER_COLUMNS                                                             \
  "l.number, l.key, l.directory, l.kind, l.parent, p.key, l.created_ns, l.updated_ns, " \
  "l.size_bytes, l.inodes FROM layers l LEFT JOIN layers p ON p.number = l.parent "

absl::Status NoSuchSnapshot(absl::string_view key) {
  return absl::NotFoundError(absl::StrCat("snapshot \"", key, "\" does not exist"));
}

absl::Status Taken(absl::string_view key) {
  return absl::AlreadyExistsError(absl::StrCat("snapshot \"", key, "\" already exists"));
}

absl::Status CheckFree(sqlite::Connection& connection, absl::string_view driver,
                       absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement statement,
                         connection.Prepare("SELECT 1 FROM layers WHERE driver = ? AND key = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool is_taken, statement.Bind(driver, key).Step());
  return is_taken ? Taken(key) : absl::OkStatus();
}

}  // namespace

absl::Status ApplyLabelPaths(const Labels& wanted, const std::vector<std::string>& field_paths,
                             absl::string_view name, Labels& labels) {
  if (field_paths.empty()) labels = wanted;
  for (const std::string& path : field_paths) {
    if (path == "labels") {
      labels = wanted;
    } else if (absl::StartsWith(path, kLabelPathPrefix)) {
      const std::string key = path.substr(sizeof(kLabelPathPrefix) - 1);
      const auto found = wanted.find(key);
      labels[key] = found != wanted.end() ? found->second : "";
    } else {
      return absl::InvalidArgumentError(absl::StrCat("cannot update field \"", path,
                                                     "\" of snapshot \"", name,
                                                     "\": only labels can be changed"));
    }
  }
  std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
  return absl::OkStatus();
}

absl::StatusOr<LayerRecord> LayerTable::ReadRow(sqlite::Connection& connection,
                                                const sqlite::Statement& row) const {
  LayerRecord record;
  record.number = row.ColumnInt64(0);
  record.info.name = std::string(row.ColumnText(1));
  record.directory = std::string(row.ColumnText(2));
  record.info.kind = static_cast<Kind>(row.ColumnInt64(3));
  record.parent_number = row.ColumnInt64(4);
  record.info.parent = std::string(row.ColumnText(5));
  record.info.created = absl::FromUnixNanos(row.ColumnInt64(6));
  record.info.updated = absl::FromUnixNanos(row.ColumnInt64(7));
  record.usage = Usage{row.ColumnInt64(8), row.ColumnInt64(9)};
  BERTH_ASSIGN_OR_RETURN(record.info.labels, ReadLabels(connection, record.number));
  return record;
}

absl::StatusOr<LayerRecord> LayerTable::Get(sqlite::Connection& connection,
                                            absl::string_view key) const {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      connection.Prepare("SELECT " BERTH_LAYER_COLUMNS "WHERE l.driver = ? AND l.key = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, statement.Bind(driver_, key).Step());
  if (!found) return NoSuchSnapshot(key);
  return ReadRow(connection, statement);
}

absl::StatusOr<LayerRecord> LayerTable::GetParent(sqlite::Connection& connection,
                                                  absl::string_view name) const {
  BERTH_ASSIGN_OR_RETURN(LayerRecord record, Get(connection, name), _ << "parent");
  if (record.info.kind != Kind::kCommitted) {
    return absl::InvalidArgumentError(absl::StrCat(
        "parent snapshot \"", name, "\" is not committed; only a committed one can have children"));
  }
  return record;
}

absl::StatusOr<std::vector<std::string>> LayerTable::AncestorDirectories(
    sqlite::Connection& connection, const LayerRecord& record) const {
  std::vector<std::string> directories;
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      connection.Prepare("SELECT directory, parent FROM layers WHERE number = ?"));
  for (int64_t number = record.parent_number; number != 0;) {
    statement.Reset();
    BERTH_ASSIGN_OR_RETURN(const bool found, statement.Bind(number).Step());
    if (!found) {
      return absl::DataLossError(absl::StrCat("an ancestor of snapshot \"", record.info.name,
                                              "\" has no record (number ", number, ")"));
    }
    directories.emplace_back(statement.ColumnText(0));
    number = statement.ColumnInt64(1);
  }
  return directories;
}

absl::StatusOr<LayerRecord> LayerTable::Insert(sqlite::Connection& connection,
                                               const NewLayer& layer) const {
  LayerRecord record;
  if (!layer.parent.empty()) {
    BERTH_ASSIGN_OR_RETURN(const LayerRecord parent, GetParent(connection, layer.parent));
    record.parent_number = parent.number;
  }
  BERTH_RETURN_IF_ERROR(CheckFree(connection, driver_, layer.key));
  const absl::Time now = absl::Now();
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      connection.Prepare("INSERT INTO layers (driver, key, directory, kind, parent, created_ns, "
                         "updated_ns) VALUES (?, ?, ?, ?, nullif(?, 0), ?, ?)"));
  BERTH_RETURN_IF_ERROR(statement
                            .Bind(driver_, layer.key, layer.directory,
                                  static_cast<int64_t>(layer.kind), record.parent_number,
                                  absl::ToUnixNanos(now), absl::ToUnixNanos(now))
                            .Run());
  record.number = connection.LastInsertRowId();
  record.directory = std::string(layer.directory);
  record.info =
      Info{layer.kind, std::string(layer.key), std::string(layer.parent), layer.labels, now, now};
  BERTH_RETURN_IF_ERROR(ReplaceLabels(connection, record.number, layer.labels));
  return record;
}

absl::Status LayerTable::Commit(sqlite::Connection& connection, const LayerCommit& commit) const {
  BERTH_ASSIGN_OR_RETURN(const LayerRecord active, Get(connection, commit.key));
  if (active.info.kind != Kind::kActive) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot \"", commit.key, "\" is ",
                     active.info.kind == Kind::kView ? "a read-only view" : "already committed",
                     "; only an active one can be committed"));
  }
  BERTH_RETURN_IF_ERROR(CheckFree(connection, driver_, commit.name));
  int64_t parent_number = active.parent_number;
  if (!commit.parent.empty() && commit.parent != active.info.parent) {
    if (parent_number != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("snapshot \"", commit.key, "\" has the parent \"", active.info.parent,
                       "\" and cannot be put on \"", commit.parent, "\""));
    }
    BERTH_ASSIGN_OR_RETURN(const LayerRecord parent, GetParent(connection, commit.parent));
    parent_number = parent.number;
  }
  const int64_t now_ns = absl::ToUnixNanos(absl::Now());
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      connection.Prepare("UPDATE layers SET key = ?, kind = ?, parent = nullif(?, 0), "
                         "created_ns = ?, updated_ns = ?, size_bytes = ?, inodes = ? "
                         "WHERE number = ?"));
  BERTH_RETURN_IF_ERROR(statement
                            .Bind(commit.name, static_cast<int64_t>(Kind::kCommitted),
                                  parent_number, now_ns, now_ns, commit.usage.size_bytes,
                                  commit.usage.inodes, active.number)
                            .Run());
  return ReplaceLabels(connection, active.number, commit.labels);
}

absl::StatusOr<LayerRecord> LayerTable::Remove(sqlite::Connection& connection,
                                               absl::string_view key) const {
  BERTH_ASSIGN_OR_RETURN(LayerRecord record, Get(connection, key));
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement children,
                         connection.Prepare("SELECT key FROM layers WHERE parent = ? LIMIT 1"));
  BERTH_ASSIGN_OR_RETURN(const bool has_child, children.Bind(record.number).Step());
  if (has_child) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot remove snapshot \"", key, "\": it is the parent of \"",
                     children.ColumnText(0), "\", which must go first"));
  }
  BERTH_RETURN_IF_ERROR(connection.Run("DELETE FROM layers WHERE number = ?", record.number));
  return record;
}

absl::StatusOr<Info> LayerTable::UpdateLabels(sqlite::Connection& connection, const Info& info,
                                              const std::vector<std::string>& field_paths) const {
  BERTH_ASSIGN_OR_RETURN(LayerRecord record, Get(connection, info.name));
  BERTH_RETURN_IF_ERROR(ApplyLabelPaths(info.labels, field_paths, info.name, record.info.labels));
  record.info.updated = absl::Now();
  BERTH_RETURN_IF_ERROR(connection.Run("UPDATE layers SET updated_ns = ? WHERE number = ?",
                                       absl::ToUnixNanos(record.info.updated), record.number));
  BERTH_RETURN_IF_ERROR(ReplaceLabels(connection, record.number, record.info.labels));
  return record.info;
}

absl::StatusOr<std::vector<LayerRecord>> LayerTable::List(sqlite::Connection& connection,
                                                          absl::string_view after,
                                                          int limit) const {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      connection.Prepare("SELECT " BERTH_LAYER_COLUMNS
                         "WHERE l.driver = ? AND l.key > ? ORDER BY l.key LIMIT ?"));
  statement.Bind(driver_, after, limit);
  std::vector<LayerRecord> records;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return records;
    BERTH_ASSIGN_OR_RETURN(LayerRecord record, ReadRow(connection, statement));
    records.push_back(std::move(record));
  }
}

absl::Status LayerTable::ReplaceLabels(sqlite::Connection& connection, int64_t number,
                                       const Labels& labels) const {
  BERTH_RETURN_IF_ERROR(connection.Run("DELETE FROM layer_labels WHERE layer = ?", number));
  for (const auto& [key, value] : labels) {
    if (value.empty()) continue;
    BERTH_RETURN_IF_ERROR(connection.Run(
        "INSERT INTO layer_labels (layer, key, value) VALUES (?, ?, ?)", number, key, value));
  }
  return absl::OkStatus();
}

absl::StatusOr<Labels> LayerTable::ReadLabels(sqlite::Connection& connection,
                                              int64_t number) const {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement statement,
                         connection.Prepare("SELECT key, value FROM layer_labels WHERE layer = ?"));
  statement.Bind(number);
  Labels labels;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return labels;
    labels.emplace(std::string(statement.ColumnText(0)), std::string(statement.ColumnText(1)));
  }
}

#undef BERTH_LAYER_COLUMNS

}  // namespace berth::snapshots
