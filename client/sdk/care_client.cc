#include "client/sdk/care_client.h"

#include <grpcpp/grpcpp.h>

#include "base/status/status_macros.h"
#include "client/sdk/unary.h"
#include "proto/berth/care/v1/care.grpc.pb.h"

namespace berth::client {
namespace {

namespace v1 = care::v1;

// A channel of its own: what is asked here is asked once, and may go on for an hour.
std::unique_ptr<v1::Care::Stub> StubOf(const Connection& connection) {
  return v1::Care::NewStub(
      grpc::CreateChannel(connection.target(), grpc::InsecureChannelCredentials()));
}

}  // namespace

absl::Status CareClient::Check(const v1::CheckRequest& request,
                               const std::function<void(const v1::CheckReport&)>& sink) const {
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  const std::unique_ptr<v1::Care::Stub> stub = StubOf(connection_);
  const auto reader = stub->Check(&context, request);
  v1::CheckReport report;
  while (reader->Read(&report)) sink(report);
  return connection_.ToStatus(reader->Finish());
}

absl::StatusOr<std::vector<v1::Operation>> CareClient::ListOperations() const {
  const std::unique_ptr<v1::Care::Stub> stub = StubOf(connection_);
  BERTH_ASSIGN_OR_RETURN(
      const v1::ListOperationsResponse response,
      Unary(connection_, *stub, &v1::Care::Stub::ListOperations, v1::ListOperationsRequest()));
  return std::vector<v1::Operation>(response.operations().begin(), response.operations().end());
}

absl::StatusOr<v1::ExplainResponse> CareClient::Explain(absl::string_view container) const {
  v1::ExplainRequest request;
  request.set_container(std::string(container));
  return Unary(connection_, *StubOf(connection_), &v1::Care::Stub::Explain, request);
}

absl::StatusOr<v1::UpgradeShimResponse> CareClient::UpgradeShim(
    const v1::UpgradeShimRequest& request) const {
  return Unary(connection_, *StubOf(connection_), &v1::Care::Stub::UpgradeShim, request);
}

}  // namespace berth::client
