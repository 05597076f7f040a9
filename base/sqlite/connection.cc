#include "base/sqlite/connection.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sqlite/sqlite_status.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"

namespace berth::sqlite {
namespace {

// Our statements are literals, a few hundred at most; a caller that builds SQL must not fill
// memory.
constexpr size_t kCachedStatements = 512;
// Our own connections rarely meet; a foreign sqlite3 shell may hold the lock for a moment.
constexpr int kBusyTimeoutMs = 5000;

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_),
      stmt_(std::exchange(other.stmt_, nullptr)),
      in_use_(std::exchange(other.in_use_, nullptr)),
      bind_result_(other.bind_result_) {}

Statement::~Statement() {
  if (stmt_ == nullptr) return;
  if (in_use_ == nullptr) {
    ::sqlite3_finalize(stmt_);
    return;
  }
  Reset();
  ::sqlite3_clear_bindings(stmt_);
  *in_use_ = false;
}

void Statement::Reset() {
  ::sqlite3_reset(stmt_);  // repeats the error of the last step, which was reported then
  bind_result_ = SQLITE_OK;
}

void Statement::BindOne(int index, absl::string_view text) {
  // A null pointer would bind NULL; an empty view stands for the empty string.
  const int rc = ::sqlite3_bind_text64(stmt_, index, text.data() != nullptr ? text.data() : "",
                                       text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (bind_result_ == SQLITE_OK) bind_result_ = rc;
}

void Statement::BindOne(int index, Blob blob) {
  const int rc = blob.bytes.empty() ? ::sqlite3_bind_zeroblob(stmt_, index, 0)
                                    : ::sqlite3_bind_blob64(stmt_, index, blob.bytes.data(),
                                                            blob.bytes.size(), SQLITE_TRANSIENT);
  if (bind_result_ == SQLITE_OK) bind_result_ = rc;
}

void Statement::BindOne(int index, std::nullptr_t) {
  const int rc = ::sqlite3_bind_null(stmt_, index);
  if (bind_result_ == SQLITE_OK) bind_result_ = rc;
}

void Statement::BindInt64(int index, int64_t value) {
  const int rc = ::sqlite3_bind_int64(stmt_, index, value);
  if (bind_result_ == SQLITE_OK) bind_result_ = rc;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_result_ != SQLITE_OK) {
    return SqliteStatus(connection_->db_, bind_result_, "bind a value", connection_->path_);
  }
  const int rc = ::sqlite3_step(stmt_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return SqliteStatus(connection_->db_, rc, absl::StrCat("run \"", ::sqlite3_sql(stmt_), "\""),
                      connection_->path_);
}

absl::Status Statement::Run() {
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

int64_t Statement::ColumnInt64(int column) const { return ::sqlite3_column_int64(stmt_, column); }

absl::string_view Statement::ColumnText(int column) const {
  const unsigned char* text = ::sqlite3_column_text(stmt_, column);
  if (text == nullptr) return "";
  return absl::string_view(reinterpret_cast<const char*>(text),
                           ::sqlite3_column_bytes(stmt_, column));
}

absl::string_view Statement::ColumnBlob(int column) const {
  const void* bytes = ::sqlite3_column_blob(stmt_, column);
  if (bytes == nullptr) return "";
  return absl::string_view(static_cast<const char*>(bytes), ::sqlite3_column_bytes(stmt_, column));
}

bool Statement::ColumnIsNull(int column) const {
  return ::sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(absl::string_view path,
                                                             Access access) {
  const int flags = (access == Access::kReadWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  sqlite3* db = nullptr;
  const int rc = ::sqlite3_open_v2(std::string(path).c_str(), &db, flags, nullptr);
  if (rc != SQLITE_OK) {
    const absl::Status status = SqliteStatus(db, rc, "open", path);
    ::sqlite3_close_v2(db);
    return status;
  }
  auto connection = std::unique_ptr<Connection>(new Connection(std::string(path), db));
  ::sqlite3_busy_timeout(db, kBusyTimeoutMs);
  // Foreign keys are off by default, per connection.
  BERTH_RETURN_IF_ERROR(connection->Execute("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"));
  // A reader drops its cache whenever somebody writes; the kernel's is the one that helps.
  if (access == Access::kReadOnly) {
    BERTH_RETURN_IF_ERROR(connection->Execute("PRAGMA cache_size=-256;"));
  }
  return connection;
}

Connection::~Connection() {
  for (auto& [sql, cached] : cache_) {
    BERTH_CHECK(!cached->in_use);
    ::sqlite3_finalize(cached->stmt);
  }
  ::sqlite3_close_v2(db_);
}

absl::StatusOr<Statement> Connection::Prepare(absl::string_view sql) {
  const auto found = cache_.find(sql);
  if (found != cache_.end() && !found->second->in_use) {
    found->second->in_use = true;
    return Statement(*this, found->second->stmt, &found->second->in_use);
  }
  const bool cacheable = found == cache_.end() && cache_.size() < kCachedStatements;
  sqlite3_stmt* stmt = nullptr;
  const int rc = ::sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                      cacheable ? SQLITE_PREPARE_PERSISTENT : 0, &stmt, nullptr);
  if (rc != SQLITE_OK) {
    return SqliteStatus(db_, rc, absl::StrCat("prepare \"", sql, "\""), path_);
  }
  BERTH_CHECK(stmt != nullptr);  // an empty statement is a mistake of ours
  // The same SQL in use twice (a cursor inside a cursor) gets an uncached second one.
  if (!cacheable) return Statement(*this, stmt, nullptr);
  auto cached = std::make_unique<Cached>();
  cached->stmt = stmt;
  cached->in_use = true;
  bool* const in_use = &cached->in_use;
  cache_.emplace(std::string(sql), std::move(cached));
  return Statement(*this, stmt, in_use);
}

absl::Status Connection::Execute(absl::string_view sql) {
  const int rc = ::sqlite3_exec(db_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (rc == SQLITE_OK) return absl::OkStatus();
  const absl::string_view head = sql.substr(0, 120);
  return SqliteStatus(db_, rc, absl::StrCat("run \"", head, "\""), path_);
}

int64_t Connection::Changes() const { return ::sqlite3_changes64(db_); }
int64_t Connection::LastInsertRowId() const { return ::sqlite3_last_insert_rowid(db_); }

}  // namespace berth::sqlite
