#include "base/sqlite/migration.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::sqlite {
namespace {

std::string DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

// A whole and durable copy, or none: written under a temporary name first.
absl::Status CopyDatabase(Connection& connection, const std::string& target) {
  const std::string temporary = absl::StrCat(target, ".tmp");
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "unlink", temporary);
  }
  BERTH_RETURN_IF_ERROR(connection.Run("VACUUM INTO ?", temporary));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(temporary, O_RDWR));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "fsync", temporary);
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    return ErrnoStatus(errno, "rename", target);
  }
  return SyncDirectory(DirectoryOf(target));
}

absl::Status ApplyAll(Connection& connection, const Migrations& migrations, SchemaVersion from) {
  BERTH_RETURN_IF_ERROR(
      connection.Execute("CREATE TABLE IF NOT EXISTS schema_version ("
                         "  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),"
                         "  major INTEGER NOT NULL, minor INTEGER NOT NULL)"));
  for (const Migration& migration : migrations) {
    if (migration.version <= from) continue;
    BERTH_RETURN_IF_ERROR(connection.Execute(migration.sql))
        << "migrate to schema " << migration.version.ToString();
  }
  const SchemaVersion target = migrations.back().version;
  return connection.Run(
      "INSERT INTO schema_version (only_row, major, minor) VALUES (1, ?, ?) "
      "ON CONFLICT (only_row) DO UPDATE SET major = excluded.major, minor = excluded.minor",
      target.major, target.minor);
}

}  // namespace

std::string SchemaVersion::ToString() const { return absl::StrCat(major, ".", minor); }

std::string CopyPath(absl::string_view database_path, SchemaVersion version) {
  return absl::StrCat(database_path, ".schema-", version.ToString());
}

absl::StatusOr<SchemaVersion> ReadSchemaVersion(Connection& connection) {
  BERTH_ASSIGN_OR_RETURN(
      Statement tables,
      connection.Prepare("SELECT count(*), coalesce(sum(name = 'schema_version'), 0) "
                         "FROM sqlite_schema WHERE type = 'table'"));
  BERTH_RETURN_IF_ERROR(tables.Step());
  if (tables.ColumnInt64(0) == 0) return SchemaVersion{};
  if (tables.ColumnInt64(1) == 0) {
    return absl::DataLossError(absl::StrCat(
        "database \"", connection.path(),
        "\" holds tables but no schema version: it is not this program's; move it away or choose "
        "another root directory"));
  }
  BERTH_ASSIGN_OR_RETURN(Statement version,
                         connection.Prepare("SELECT major, minor FROM schema_version"));
  BERTH_ASSIGN_OR_RETURN(const bool row, version.Step());
  if (!row) {
    return absl::DataLossError(
        absl::StrCat("database \"", connection.path(),
                     "\" has an empty schema_version table: restore a backup"));
  }
  return SchemaVersion{static_cast<int>(version.ColumnInt64(0)),
                       static_cast<int>(version.ColumnInt64(1))};
}

absl::Status Migrate(Connection& connection, const Migrations& migrations) {
  BERTH_ASSIGN_OR_RETURN(const SchemaVersion found, ReadSchemaVersion(connection));
  const SchemaVersion known = migrations.back().version;
  if (found.major > known.major) {
    return absl::FailedPreconditionError(absl::StrCat(
        "database \"", connection.path(), "\" has schema ", found.ToString(),
        ", this release knows up to ", known.ToString(),
        ": it was written by a newer release. Install that release again, or stop, put the copy \"",
        CopyPath(connection.path(), known), "\" (if there is one) in its place and start"));
  }
  if (found >= known) return absl::OkStatus();
  if (found.major != 0 && found.major < known.major) {
    BERTH_RETURN_IF_ERROR(CopyDatabase(connection, CopyPath(connection.path(), found)))
        << "copy the database before its migration to schema " << known.ToString();
  }
  BERTH_RETURN_IF_ERROR(connection.Execute("BEGIN IMMEDIATE"));
  const absl::Status applied = ApplyAll(connection, migrations, found);
  if (!applied.ok()) {
    connection.Execute("ROLLBACK").IgnoreError();  // the first error is the one to report
    return applied;
  }
  return connection.Execute("COMMIT");
}

}  // namespace berth::sqlite
