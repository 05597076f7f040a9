// Blobs and uploads as garbage collection sees them.
//
// A blob lives only as long as something live refers to it; an upload lives until it expires, or as
// long as a lease holds it, and keeps the blob that it stands for. One that is being written is
// never removed. Thread-safe. Owned by server/main; borrows the ContentStore.
#ifndef BERTH_SERVER_CONTENT_CONTENT_COLLECTOR_H_
#define BERTH_SERVER_CONTENT_CONTENT_COLLECTOR_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/sqlite/connection.h"
#include "server/content/content_store.h"
#include "server/metadata/collectable.h"
#include "server/metadata/object.h"

namespace berth::content {

class BlobCollector final : public metadata::Collectable {
 public:
  explicit BlobCollector(ContentStore& store) : store_(store) {}
  metadata::ObjectKind kind() const override { return metadata::ObjectKind::kContent; }
  absl::Status ForEach(
      sqlite::Connection& connection, absl::Time now,
      absl::FunctionRef<void(metadata::ObjectId, metadata::Rooted)> visit) override;
  absl::Status References(sqlite::Connection& connection, const metadata::ObjectId& object,
                          absl::FunctionRef<void(metadata::ObjectId)> visit) override;
  absl::StatusOr<std::vector<metadata::ObjectId>> RemoveRecords(
      sqlite::Connection& connection, absl::Span<const metadata::ObjectId> objects) override;
  absl::Status RemoveData(absl::Span<const metadata::ObjectId> removed) override;

 private:
  ContentStore& store_;
};

class IngestCollector final : public metadata::Collectable {
 public:
  explicit IngestCollector(ContentStore& store) : store_(store) {}
  metadata::ObjectKind kind() const override { return metadata::ObjectKind::kIngest; }
  absl::Status ForEach(
      sqlite::Connection& connection, absl::Time now,
      absl::FunctionRef<void(metadata::ObjectId, metadata::Rooted)> visit) override;
  absl::Status References(sqlite::Connection& connection, const metadata::ObjectId& object,
                          absl::FunctionRef<void(metadata::ObjectId)> visit) override;
  absl::StatusOr<std::vector<metadata::ObjectId>> RemoveRecords(
      sqlite::Connection& connection, absl::Span<const metadata::ObjectId> objects) override;
  absl::Status RemoveData(absl::Span<const metadata::ObjectId> removed) override;

 private:
  ContentStore& store_;
};

}  // namespace berth::content

#endif  // BERTH_SERVER_CONTENT_CONTENT_COLLECTOR_H_
