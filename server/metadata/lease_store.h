// Leases: they keep what they hold from being collected while a client works on it.
//
// Every change is durable when the call returns. A lease whose label containerd.io/gc.expire has
// passed holds nothing any more and is itself collected. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_METADATA_LEASE_STORE_H_
#define BERTH_SERVER_METADATA_LEASE_STORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/sqlite/database.h"
#include "proto/containerd/services/leases/v1/leases.pb.h"
#include "server/metadata/caller.h"
#include "server/metadata/change_listener.h"
#include "server/metadata/collectable.h"
#include "server/metadata/labels.h"

namespace berth::metadata {

class LeaseStore final : public Collectable {
 public:
  using Lease = containerd::services::leases::v1::Lease;
  using Resource = containerd::services::leases::v1::Resource;

  explicit LeaseStore(sqlite::Database& database, ChangeListener* listener = nullptr)
      : database_(database), listener_(listener) {}

  // An empty id gets a generated one. Errors: ALREADY_EXISTS; INVALID_ARGUMENT for labels.
  absl::StatusOr<Lease> Create(const Caller& caller, std::string id, const Labels& labels);
  // Errors: NOT_FOUND.
  absl::Status Delete(const Caller& caller, absl::string_view id);
  // In order of id. Filter fields: id, labels.<key>. Errors: INVALID_ARGUMENT.
  absl::StatusOr<std::vector<Lease>> List(const Caller& caller,
                                          absl::Span<const std::string> filters);
  // Errors: NOT_FOUND for the lease; INVALID_ARGUMENT for a malformed resource; UNIMPLEMENTED for a
  // type of resource that there is not. The resource need not exist.
  absl::Status AddResource(const Caller& caller, absl::string_view id, const Resource& resource);
  // A resource that the lease does not hold is no error. Errors: as AddResource.
  absl::Status DeleteResource(const Caller& caller, absl::string_view id, const Resource& resource);
  // In order of type and id. Errors: NOT_FOUND.
  absl::StatusOr<std::vector<Resource>> ListResources(const Caller& caller, absl::string_view id);

  ObjectKind kind() const override { return ObjectKind::kLease; }
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

#endif  // BERTH_SERVER_METADATA_LEASE_STORE_H_
