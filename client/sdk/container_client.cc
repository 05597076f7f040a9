#include "client/sdk/container_client.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace api = containerd::services::containers::v1;

absl::StatusOr<ContainerRecord> ContainerClient::Get(absl::string_view id) const {
  api::GetContainerRequest request;
  request.set_id(std::string(id));
  BERTH_ASSIGN_OR_RETURN(
      api::GetContainerResponse response,
      Unary(connection_, *connection_.stubs().containers, &api::Containers::Stub::Get, request));
  return std::move(*response.mutable_container());
}

absl::StatusOr<std::vector<ContainerRecord>> ContainerClient::List(
    const std::vector<std::string>& filters) const {
  api::ListContainersRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  BERTH_ASSIGN_OR_RETURN(
      const api::ListContainersResponse response,
      Unary(connection_, *connection_.stubs().containers, &api::Containers::Stub::List, request));
  return std::vector<ContainerRecord>(response.containers().begin(), response.containers().end());
}

absl::StatusOr<ContainerRecord> ContainerClient::Create(const ContainerRecord& record) const {
  api::CreateContainerRequest request;
  *request.mutable_container() = record;
  BERTH_ASSIGN_OR_RETURN(
      api::CreateContainerResponse response,
      Unary(connection_, *connection_.stubs().containers, &api::Containers::Stub::Create, request));
  return std::move(*response.mutable_container());
}

absl::Status ContainerClient::SetLabels(absl::string_view id,
                                        const std::map<std::string, std::string>& labels) const {
  api::UpdateContainerRequest request;
  request.mutable_container()->set_id(std::string(id));
  for (const auto& [key, value] : labels) {
    (*request.mutable_container()->mutable_labels())[key] = value;
    request.mutable_update_mask()->add_paths(absl::StrCat("labels.", key));
  }
  return Unary(connection_, *connection_.stubs().containers, &api::Containers::Stub::Update,
               request)
      .status();
}

absl::Status ContainerClient::Delete(absl::string_view id) const {
  api::DeleteContainerRequest request;
  request.set_id(std::string(id));
  return Unary(connection_, *connection_.stubs().containers, &api::Containers::Stub::Delete,
               request)
      .status();
}

}  // namespace berth::client
