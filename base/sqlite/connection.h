// One SQLite connection with a cache of prepared statements.
//
// Invariant: a Statement is reset and its bindings are cleared when it goes out of scope, so that
// no read transaction is held open by a forgotten cursor. Thread-compatible; made and lent out by
// Database, which keeps one for writing and a pool for reading. Pointers and views that Column*
// return live until the next Step or the end of the Statement.
#ifndef BERTH_BASE_SQLITE_CONNECTION_H_
#define BERTH_BASE_SQLITE_CONNECTION_H_

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace berth::sqlite {

class Connection;

// A value that is bound as BLOB; a plain string is bound as TEXT.
struct Blob {
  absl::string_view bytes;
};

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Binds from left to right, one `?` each: strings as TEXT, Blob, integers, nullptr as NULL.
  // A failing bind is reported by the next Step or Run.
  template <typename... Values>
  Statement& Bind(const Values&... values) {
    int index = 0;
    (BindOne(++index, values), ...);
    return *this;
  }

  // True: a row is there. False: the end.
  absl::StatusOr<bool> Step();
  // Steps to the end; rows are passed over.
  absl::Status Run();
  // Makes it usable again with new values.
  void Reset();

  int64_t ColumnInt64(int column) const;
  absl::string_view ColumnText(int column) const;
  absl::string_view ColumnBlob(int column) const;
  bool ColumnIsNull(int column) const;

 private:
  friend class Connection;
  Statement(Connection& connection, sqlite3_stmt* stmt, bool* in_use)
      : connection_(&connection), stmt_(stmt), in_use_(in_use) {}

  void BindOne(int index, absl::string_view text);
  void BindOne(int index, Blob blob);
  void BindOne(int index, std::nullptr_t);
  void BindInt64(int index, int64_t value);
  void BindOne(int index, std::integral auto value) {
    BindInt64(index, static_cast<int64_t>(value));
  }
  void BindOne(int index, const char* text) { BindOne(index, absl::string_view(text)); }
  void BindOne(int index, const std::string& text) { BindOne(index, absl::string_view(text)); }

  Connection* connection_;
  sqlite3_stmt* stmt_;
  bool* in_use_;  // the cache's mark; null: not cached, finalized with this object
  int bind_result_ = 0;
};

class Connection {
 public:
  enum class Access { kReadWrite, kReadOnly };

  // Opens the existing file `path`. Blocks.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(absl::string_view path, Access access);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // A statement from the cache, or a new one. `sql` is one statement; values go through Bind.
  absl::StatusOr<Statement> Prepare(absl::string_view sql);
  // Prepare, Bind and Run in one.
  template <typename... Values>
  absl::Status Run(absl::string_view sql, const Values&... values) {
    absl::StatusOr<Statement> statement = Prepare(sql);
    if (!statement.ok()) return statement.status();
    return statement->Bind(values...).Run();
  }
  // Any number of statements without values, not cached: schema and PRAGMA.
  absl::Status Execute(absl::string_view sql);

  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t Changes() const;
  int64_t LastInsertRowId() const;

  const std::string& path() const { return path_; }
  sqlite3* handle() { return db_; }

 private:
  friend class Statement;
  struct Cached {
    sqlite3_stmt* stmt = nullptr;
    bool in_use = false;
  };

  Connection(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}

  const std::string path_;
  sqlite3* const db_;
  absl::flat_hash_map<std::string, std::unique_ptr<Cached>> cache_;
};

}  // namespace berth::sqlite

#endif  // BERTH_BASE_SQLITE_CONNECTION_H_
