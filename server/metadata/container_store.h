// The records of containers: what to run and on which root.
//
// Writes are delayed ones: they survive the death of the daemon at once and a power cut within a
// second (a container does not outlive a power cut). Invariant: the columns snapshotter and
// snapshot_key say what the record says. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_METADATA_CONTAINER_STORE_H_
#define BERTH_SERVER_METADATA_CONTAINER_STORE_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/sqlite/database.h"
#include "proto/containerd/services/containers/v1/containers.pb.h"
#include "server/filter/filter.h"
#include "server/metadata/caller.h"
#include "server/metadata/change_listener.h"
#include "server/metadata/collectable.h"

namespace berth::metadata {

class ContainerStore final : public Collectable {
 public:
  using Container = containerd::services::containers::v1::Container;

  explicit ContainerStore(sqlite::Database& database, ChangeListener* listener = nullptr)
      : database_(database), listener_(listener) {}

  // Errors: NOT_FOUND.
  absl::StatusOr<Container> Get(const Caller& caller, absl::string_view id);
  // In order of id. Filter fields: id, image, runtime.name, labels.<key>. Errors: INVALID_ARGUMENT.
  absl::StatusOr<std::vector<Container>> List(const Caller& caller,
                                              absl::Span<const std::string> filters);
  // Visits records as they are stored (serialised Containers) in order of id, from behind the id
  // `after` on, until their sizes pass `page_bytes`; then `after` is the last id visited or passed
  // over. False when none is left. A record that is there all the while is visited once by a walk
  // over all pages. Errors: DATA_LOSS.
  absl::StatusOr<bool> VisitPage(const Caller& caller, const Filter& filter, size_t page_bytes,
                                 std::string& after,
                                 absl::FunctionRef<void(absl::string_view record)> visit);
  // Stamps the times. Errors: ALREADY_EXISTS; INVALID_ARGUMENT naming the field.
  absl::StatusOr<Container> Create(const Caller& caller, Container container);
  // Mask paths: labels, labels.<key>, extensions, extensions.<key>, spec, image, snapshotkey; an
  // empty mask means all of them, and then a changed snapshotter or runtime name is refused.
  // Errors: NOT_FOUND; INVALID_ARGUMENT naming the path or field.
  absl::StatusOr<Container> Update(const Caller& caller, const Container& container,
                                   absl::Span<const std::string> mask);
  // Errors: NOT_FOUND.
  absl::Status Delete(const Caller& caller, absl::string_view id);

  ObjectKind kind() const override { return ObjectKind::kContainer; }
  absl::Status ForEach(sqlite::Connection& connection, absl::Time now,
                       absl::FunctionRef<void(ObjectId, Rooted)> visit) override;
  absl::Status References(sqlite::Connection& connection, const ObjectId& object,
                          absl::FunctionRef<void(ObjectId)> visit) override;
  absl::StatusOr<std::vector<ObjectId>> RemoveRecords(sqlite::Connection& connection,
                                                      absl::Span<const ObjectId> objects) override;
  absl::Status RemoveData(absl::Span<const ObjectId> removed) override;

 private:
  void Tell(Change change) {
    if (listener_ != nullptr) listener_->OnChange(change);
  }

  sqlite::Database& database_;
  ChangeListener* const listener_;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_CONTAINER_STORE_H_
