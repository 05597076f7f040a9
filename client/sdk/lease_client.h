// The Leases service, typed, and a lease that ends with its scope. Thread-safe; a ScopedLease is
// owned by the operation it protects.
#ifndef BERTH_CLIENT_SDK_LEASE_CLIENT_H_
#define BERTH_CLIENT_SDK_LEASE_CLIENT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/sdk/connection.h"
#include "client/sdk/image_client.h"
#include "proto/containerd/services/leases/v1/leases.pb.h"

namespace berth::client {

using LeaseRecord = containerd::services::leases::v1::Lease;
using LeaseResource = containerd::services::leases::v1::Resource;

class LeaseClient {
 public:
  explicit LeaseClient(Connection connection) : connection_(std::move(connection)) {}

  // An empty `id` lets the server make one up. Answers the id.
  absl::StatusOr<std::string> Create(absl::string_view id,
                                     const std::map<std::string, std::string>& labels) const;
  absl::Status Delete(absl::string_view id, Collect collect) const;
  absl::StatusOr<std::vector<LeaseRecord>> List(const std::vector<std::string>& filters) const;
  absl::StatusOr<std::vector<LeaseResource>> Resources(absl::string_view id) const;

 private:
  Connection connection_;
};

// The label that ends a lease whose owner died.
std::map<std::string, std::string> ExpiryLabels(absl::Duration lifetime);

// Keeps what is made through connection() from being collected until the scope ends.
class ScopedLease {
 public:
  static absl::StatusOr<ScopedLease> Create(const Connection& connection);
  ScopedLease(ScopedLease&& other) noexcept : connection_(std::move(other.connection_)) {
    id_.swap(other.id_);
  }
  ScopedLease& operator=(ScopedLease&&) = delete;
  ~ScopedLease();

  const Connection& connection() const { return connection_; }

 private:
  ScopedLease(Connection connection, std::string id)
      : connection_(std::move(connection)), id_(std::move(id)) {}

  Connection connection_;
  std::string id_;  // empty: moved from
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_LEASE_CLIENT_H_
