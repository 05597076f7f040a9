// The version of a database's schema, and the steps from one to the next.
//
// Rules: a version is major.minor. A minor step only adds (tables, columns with a default), so that
// the previous release still works on the result; a major step may do anything. A database of a
// newer major is refused; one of a newer minor is used as it is. Before the first major step the
// database is copied beside itself. All steps run in one transaction. Thread-compatible functions,
// called by Database::Open.
#ifndef BERTH_BASE_SQLITE_MIGRATION_H_
#define BERTH_BASE_SQLITE_MIGRATION_H_

#include <compare>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/sqlite/connection.h"

namespace berth::sqlite {

struct SchemaVersion {
  int major = 0;  // 0.0: an empty database
  int minor = 0;
  auto operator<=>(const SchemaVersion&) const = default;
  std::string ToString() const;
};

// Brings a database from the version before it in the list to `version`.
struct Migration {
  SchemaVersion version;
  std::string sql;
};

// In ascending order; the last one is what this program writes.
using Migrations = std::vector<Migration>;

// Errors: DATA_LOSS when the file holds tables but no version (some other program's database).
absl::StatusOr<SchemaVersion> ReadSchemaVersion(Connection& connection);

// Applies what is missing. Blocks. Errors: FAILED_PRECONDITION for a newer major version.
absl::Status Migrate(Connection& connection, const Migrations& migrations);

// Where the copy of a database of `version` is put before a major migration.
std::string CopyPath(absl::string_view database_path, SchemaVersion version);

}  // namespace berth::sqlite

#endif  // BERTH_BASE_SQLITE_MIGRATION_H_
