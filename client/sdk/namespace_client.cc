#include "client/sdk/namespace_client.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace api = containerd::services::namespaces::v1;

absl::StatusOr<NamespaceRecord> NamespaceClient::Get(absl::string_view name) const {
  api::GetNamespaceRequest request;
  request.set_name(std::string(name));
  BERTH_ASSIGN_OR_RETURN(
      api::GetNamespaceResponse response,
      Unary(connection_, *connection_.stubs().namespaces, &api::Namespaces::Stub::Get, request));
  return std::move(*response.mutable_namespace_());
}

absl::StatusOr<std::vector<NamespaceRecord>> NamespaceClient::List() const {
  BERTH_ASSIGN_OR_RETURN(const api::ListNamespacesResponse response,
                         Unary(connection_, *connection_.stubs().namespaces,
                               &api::Namespaces::Stub::List, api::ListNamespacesRequest()));
  return std::vector<NamespaceRecord>(response.namespaces().begin(), response.namespaces().end());
}

absl::Status NamespaceClient::Create(absl::string_view name,
                                     const std::map<std::string, std::string>& labels) const {
  api::CreateNamespaceRequest request;
  request.mutable_namespace_()->set_name(std::string(name));
  request.mutable_namespace_()->mutable_labels()->insert(labels.begin(), labels.end());
  return Unary(connection_, *connection_.stubs().namespaces, &api::Namespaces::Stub::Create,
               request)
      .status();
}

absl::Status NamespaceClient::SetLabels(absl::string_view name,
                                        const std::map<std::string, std::string>& labels) const {
  api::UpdateNamespaceRequest request;
  request.mutable_namespace_()->set_name(std::string(name));
  for (const auto& [key, value] : labels) {
    (*request.mutable_namespace_()->mutable_labels())[key] = value;
    request.mutable_update_mask()->add_paths(absl::StrCat("labels.", key));
  }
  return Unary(connection_, *connection_.stubs().namespaces, &api::Namespaces::Stub::Update,
               request)
      .status();
}

absl::Status NamespaceClient::Delete(absl::string_view name) const {
  api::DeleteNamespaceRequest request;
  request.set_name(std::string(name));
  return Unary(connection_, *connection_.stubs().namespaces, &api::Namespaces::Stub::Delete,
               request)
      .status();
}

}  // namespace berth::client
