// Rows of blobs and ingests: which namespace may see which blob, and which uploads are under way.
//
// The bytes are server/content's. Invariant: a row of `blobs` is written only after its bytes are
// on the disk; a row of `ingests` is written before its file is made, so that a file without a row
// is a leftover. Thread-compatible functions on a connection; those that change something want a
// write connection.
#ifndef BERTH_SERVER_METADATA_CONTENT_TABLE_H_
#define BERTH_SERVER_METADATA_CONTENT_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/sqlite/connection.h"
#include "proto/containerd/services/content/v1/content.pb.h"

namespace berth::metadata {

using ContentInfo = containerd::services::content::v1::Info;

// Errors: NOT_FOUND.
absl::StatusOr<ContentInfo> FindBlob(sqlite::Connection& connection, absl::string_view ns,
                                     absl::string_view digest);
absl::StatusOr<bool> HasBlob(sqlite::Connection& connection, absl::string_view ns,
                             absl::string_view digest);
// Whether any namespace has it.
absl::StatusOr<bool> IsBlobNamed(sqlite::Connection& connection, absl::string_view digest);
// The namespaces that have it.
absl::StatusOr<std::vector<std::string>> NamespacesOfBlob(sqlite::Connection& connection,
                                                          absl::string_view digest);
// Calls `visit` in order of digest, from the first after `after`, until it returns false.
absl::Status VisitBlobs(sqlite::Connection& connection, absl::string_view ns,
                        absl::string_view after, absl::FunctionRef<bool(ContentInfo)> visit);
// Errors: ALREADY_EXISTS.
absl::Status InsertBlob(sqlite::Connection& connection, absl::string_view ns,
                        const ContentInfo& info);
absl::Status ReplaceBlob(sqlite::Connection& connection, absl::string_view ns,
                         const ContentInfo& info);
// Errors: NOT_FOUND.
absl::Status DeleteBlob(sqlite::Connection& connection, absl::string_view ns,
                        absl::string_view digest);

struct IngestRow {
  std::string ref;
  std::string file;  // name in content/ingest
  absl::Time started_at;
  int64_t total = 0;
  std::string expected;
  // The blob of another namespace that stands for the bytes; empty: the bytes are in `file`.
  std::string shared;
  absl::Time expires_at = absl::InfiniteFuture();  // infinite: as long as a lease holds it
};

absl::StatusOr<std::optional<IngestRow>> FindIngest(sqlite::Connection& connection,
                                                    absl::string_view ns, absl::string_view ref);
absl::StatusOr<std::vector<IngestRow>> ListIngests(sqlite::Connection& connection,
                                                   absl::string_view ns);
// Inserts the row, or replaces that of the same ref.
absl::Status PutIngest(sqlite::Connection& connection, absl::string_view ns, const IngestRow& row);
// Errors: NOT_FOUND.
absl::Status DeleteIngest(sqlite::Connection& connection, absl::string_view ns,
                          absl::string_view ref);
// The files that some row names.
absl::StatusOr<std::vector<std::string>> IngestFiles(sqlite::Connection& connection);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_CONTENT_TABLE_H_
