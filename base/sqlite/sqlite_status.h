// SQLite's result codes as Status, in one place. Thread-safe function.
//
// Codes a caller can act on: ALREADY_EXISTS (a unique key is taken), FAILED_PRECONDITION (another
// constraint, or a read-only database), RESOURCE_EXHAUSTED (disk or quota full, memory),
// UNAVAILABLE (another process holds the database), DATA_LOSS (the file is damaged or is no
// database).
#ifndef BERTH_BASE_SQLITE_SQLITE_STATUS_H_
#define BERTH_BASE_SQLITE_SQLITE_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

struct sqlite3;

namespace berth::sqlite {

// The failure `result_code` of step `what` on the database file `path`. `db` may be null; otherwise
// it is asked for its message, its extended code and the errno below it.
absl::Status SqliteStatus(sqlite3* db, int result_code, absl::string_view what,
                          absl::string_view path);

}  // namespace berth::sqlite

#endif  // BERTH_BASE_SQLITE_SQLITE_STATUS_H_
