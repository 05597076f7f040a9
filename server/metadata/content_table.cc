#include "server/metadata/content_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/metadata/record.h"

namespace berth::metadata {
namespace {

constexpr char kIngestColumns[] =
    "SELECT ref, file, started_at, total, expected, shared, expires_at FROM ingests WHERE ns = ?";
constexpr int64_t kNever = 0;  // stored for an infinite expiry

std::string Quoted(absl::string_view digest) { return absl::StrCat("content digest ", digest); }

IngestRow ReadIngest(const sqlite::Statement& row) {
  IngestRow ingest;
  ingest.ref = std::string(row.ColumnText(0));
  ingest.file = std::string(row.ColumnText(1));
  ingest.started_at = absl::FromUnixNanos(row.ColumnInt64(2));
  ingest.total = row.ColumnInt64(3);
  ingest.expected = std::string(row.ColumnText(4));
  ingest.shared = std::string(row.ColumnText(5));
  const int64_t expires_at = row.ColumnInt64(6);
  ingest.expires_at =
      expires_at == kNever ? absl::InfiniteFuture() : absl::FromUnixNanos(expires_at);
  return ingest;
}

}  // namespace

absl::StatusOr<ContentInfo> FindBlob(sqlite::Connection& connection, absl::string_view ns,
                                     absl::string_view digest) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT record FROM blobs WHERE ns = ? AND digest = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(ns, digest).Step());
  if (!found) return absl::NotFoundError(absl::StrCat(Quoted(digest), ": not found"));
  return ParseRecord<ContentInfo>(row.ColumnBlob(0), Quoted(digest));
}

absl::StatusOr<bool> HasBlob(sqlite::Connection& connection, absl::string_view ns,
                             absl::string_view digest) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT 1 FROM blobs WHERE ns = ? AND digest = ?"));
  return row.Bind(ns, digest).Step();
}

absl::StatusOr<bool> IsBlobNamed(sqlite::Connection& connection, absl::string_view digest) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT 1 FROM blobs WHERE digest = ? LIMIT 1"));
  return row.Bind(digest).Step();
}

absl::StatusOr<std::vector<std::string>> NamespacesOfBlob(sqlite::Connection& connection,
                                                          absl::string_view digest) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT ns FROM blobs WHERE digest = ?"));
  row.Bind(digest);
  std::vector<std::string> namespaces;
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return namespaces;
    namespaces.emplace_back(row.ColumnText(0));
  }
}

absl::Status VisitBlobs(sqlite::Connection& connection, absl::string_view ns,
                        absl::string_view after, absl::FunctionRef<bool(ContentInfo)> visit) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare(
          "SELECT digest, record FROM blobs WHERE ns = ? AND digest > ? ORDER BY digest"));
  row.Bind(ns, after);
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(ContentInfo info,
                           ParseRecord<ContentInfo>(row.ColumnBlob(1), Quoted(row.ColumnText(0))));
    if (!visit(std::move(info))) return absl::OkStatus();
  }
}

absl::Status InsertBlob(sqlite::Connection& connection, absl::string_view ns,
                        const ContentInfo& info) {
  return connection.Run("INSERT INTO blobs (ns, digest, record) VALUES (?, ?, ?)", ns,
                        info.digest(), sqlite::Blob{info.SerializeAsString()});
}

absl::Status ReplaceBlob(sqlite::Connection& connection, absl::string_view ns,
                         const ContentInfo& info) {
  return connection.Run("UPDATE blobs SET record = ? WHERE ns = ? AND digest = ?",
                        sqlite::Blob{info.SerializeAsString()}, ns, info.digest());
}

absl::Status DeleteBlob(sqlite::Connection& connection, absl::string_view ns,
                        absl::string_view digest) {
  BERTH_RETURN_IF_ERROR(
      connection.Run("DELETE FROM blobs WHERE ns = ? AND digest = ?", ns, digest));
  if (connection.Changes() > 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(Quoted(digest), ": not found"));
}

absl::StatusOr<std::optional<IngestRow>> FindIngest(sqlite::Connection& connection,
                                                    absl::string_view ns, absl::string_view ref) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare(absl::StrCat(kIngestColumns, " AND ref = ?")));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(ns, ref).Step());
  if (!found) return std::nullopt;
  return ReadIngest(row);
}

absl::StatusOr<std::vector<IngestRow>> ListIngests(sqlite::Connection& connection,
                                                   absl::string_view ns) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare(absl::StrCat(kIngestColumns, " ORDER BY ref")));
  row.Bind(ns);
  std::vector<IngestRow> rows;
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return rows;
    rows.push_back(ReadIngest(row));
  }
}

absl::Status PutIngest(sqlite::Connection& connection, absl::string_view ns, const IngestRow& row) {
  const bool expires = row.expires_at != absl::InfiniteFuture();
  return connection.Run(
      "INSERT INTO ingests (ns, ref, file, started_at, total, expected, shared, expires_at)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ns, ref) DO UPDATE SET file = excluded.file,"
      " started_at = excluded.started_at, total = excluded.total, expected = excluded.expected,"
      " shared = excluded.shared, expires_at = excluded.expires_at",
      ns, row.ref, row.file, absl::ToUnixNanos(row.started_at), row.total, row.expected, row.shared,
      expires ? absl::ToUnixNanos(row.expires_at) : kNever);
}

absl::Status DeleteIngest(sqlite::Connection& connection, absl::string_view ns,
                          absl::string_view ref) {
  BERTH_RETURN_IF_ERROR(connection.Run("DELETE FROM ingests WHERE ns = ? AND ref = ?", ns, ref));
  if (connection.Changes() > 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("reference ", ref, ": not found"));
}

absl::StatusOr<std::vector<std::string>> IngestFiles(sqlite::Connection& connection) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row, connection.Prepare("SELECT file FROM ingests"));
  std::vector<std::string> files;
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return files;
    files.emplace_back(row.ColumnText(0));
  }
}

}  // namespace berth::metadata
