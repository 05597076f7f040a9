#include "client/sdk/lease_client.h"

#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/timestamps.h"
#include "client/sdk/unary.h"

namespace berth::client {
namespace {

namespace api = containerd::services::leases::v1;

// A client that dies leaves its lease for this long; no import takes a day.
constexpr absl::Duration kLeaseLifetime = absl::Hours(24);

}  // namespace

std::map<std::string, std::string> ExpiryLabels(absl::Duration lifetime) {
  return {{"containerd.io/gc.expire",
           absl::FormatTime(absl::RFC3339_sec, absl::Now() + lifetime, absl::UTCTimeZone())}};
}

absl::StatusOr<std::string> LeaseClient::Create(
    absl::string_view id, const std::map<std::string, std::string>& labels) const {
  api::CreateRequest request;
  request.set_id(std::string(id));
  request.mutable_labels()->insert(labels.begin(), labels.end());
  BERTH_ASSIGN_OR_RETURN(
      const api::CreateResponse response,
      Unary(connection_, *connection_.stubs().leases, &api::Leases::Stub::Create, request));
  return response.lease().id();
}

absl::Status LeaseClient::Delete(absl::string_view id, Collect collect) const {
  api::DeleteRequest request;
  request.set_id(std::string(id));
  request.set_sync(collect == Collect::kBeforeAnswer);
  return Unary(connection_, *connection_.stubs().leases, &api::Leases::Stub::Delete, request)
      .status();
}

absl::StatusOr<std::vector<LeaseRecord>> LeaseClient::List(
    const std::vector<std::string>& filters) const {
  api::ListRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  BERTH_ASSIGN_OR_RETURN(
      const api::ListResponse response,
      Unary(connection_, *connection_.stubs().leases, &api::Leases::Stub::List, request));
  return std::vector<LeaseRecord>(response.leases().begin(), response.leases().end());
}

absl::StatusOr<std::vector<LeaseResource>> LeaseClient::Resources(absl::string_view id) const {
  api::ListResourcesRequest request;
  request.set_id(std::string(id));
  BERTH_ASSIGN_OR_RETURN(
      const api::ListResourcesResponse response,
      Unary(connection_, *connection_.stubs().leases, &api::Leases::Stub::ListResources, request));
  return std::vector<LeaseResource>(response.resources().begin(), response.resources().end());
}

absl::StatusOr<ScopedLease> ScopedLease::Create(const Connection& connection) {
  BERTH_ASSIGN_OR_RETURN(std::string id,
                         LeaseClient(connection).Create("", ExpiryLabels(kLeaseLifetime)),
                         _ << "create a lease");
  return ScopedLease(connection.WithLease(id), id);
}

ScopedLease::~ScopedLease() {
  // A lease that cannot be deleted now ends by its expiry.
  if (!id_.empty()) {
    LeaseClient(connection_.WithLease("")).Delete(id_, Collect::kLater).IgnoreError();
  }
}

}  // namespace berth::client
