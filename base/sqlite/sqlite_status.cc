#include "base/sqlite/sqlite_status.h"

#include <sqlite3.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"

namespace berth::sqlite {
namespace {

bool IsFull(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

absl::StatusCode CodeOf(int extended_code, int error_number) {
  if (extended_code == SQLITE_CONSTRAINT_UNIQUE || extended_code == SQLITE_CONSTRAINT_PRIMARYKEY ||
      extended_code == SQLITE_CONSTRAINT_ROWID) {
    return absl::StatusCode::kAlreadyExists;
  }
  switch (extended_code & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_READONLY:
      return absl::StatusCode::kFailedPrecondition;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
      return IsFull(error_number) ? absl::StatusCode::kResourceExhausted
                                  : absl::StatusCode::kInternal;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CANTOPEN:
      if (error_number == EACCES || error_number == EPERM)
        return absl::StatusCode::kPermissionDenied;
      if (error_number == ENOENT) return absl::StatusCode::kNotFound;
      return absl::StatusCode::kFailedPrecondition;
    case SQLITE_TOOBIG:
      return absl::StatusCode::kInvalidArgument;
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kCancelled;
    default:
      return absl::StatusCode::kInternal;
  }
}

// What the operator can do about it; empty where the message itself is enough.
absl::string_view AdviceFor(int primary_code, absl::StatusCode code) {
  if (code == absl::StatusCode::kResourceExhausted && primary_code != SQLITE_NOMEM) {
    return "; free space (or raise the quota) on that filesystem and try again, nothing was "
           "changed";
  }
  switch (primary_code) {
    case SQLITE_CORRUPT:
      return "; the file is damaged: stop the daemon, keep a copy of it with its -wal, and restore "
             "a "
             "backup or rebuild it with sqlite3's .recover";
    case SQLITE_NOTADB:
      return "; the file is not an SQLite database: move it away and restore a backup";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "; another process holds the database (an open sqlite3 shell or a second daemon?)";
    case SQLITE_READONLY:
      return "; the file or its directory is not writable (read-only mount?)";
    default:
      return "";
  }
}

}  // namespace

absl::Status SqliteStatus(sqlite3* db, int result_code, absl::string_view what,
                          absl::string_view path) {
  int extended_code = result_code;
  int error_number = 0;
  std::string text = ::sqlite3_errstr(result_code);
  if (db != nullptr) {
    if ((::sqlite3_errcode(db) & 0xff) == (result_code & 0xff)) {
      extended_code = ::sqlite3_extended_errcode(db);
      text = ::sqlite3_errmsg(db);
    }
    error_number = ::sqlite3_system_errno(db);
  }
  const absl::StatusCode code = CodeOf(extended_code, error_number);
  const int primary_code = extended_code & 0xff;
  const bool environment = primary_code == SQLITE_IOERR || primary_code == SQLITE_FULL ||
                           primary_code == SQLITE_CANTOPEN;
  if (environment && error_number != 0) {
    absl::StrAppend(&text, " (", ErrnoName(error_number), ")");
  }
  return absl::Status(code, absl::StrCat(what, " in database \"", path, "\": ", text,
                                         AdviceFor(primary_code, code)));
}

}  // namespace berth::sqlite
