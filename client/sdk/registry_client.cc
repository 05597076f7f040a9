#include "client/sdk/registry_client.h"

#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace api = ::berth::images::v1;

namespace {

void Fill(const RegistryReach& reach, const RegistryLogin& login, api::Access& access) {
  access.set_scheme(reach.scheme);
  access.set_hosts_directory(reach.hosts_directory);
  access.set_username(login.username);
  access.set_password(login.password);
  access.set_identity_token(login.identity_token);
}

}  // namespace

absl::StatusOr<RegistryClient::Referrers> RegistryClient::ListReferrers(
    const std::string& reference, const std::string& artifact_type, const RegistryReach& reach,
    const RegistryLogin& login) const {
  api::ListReferrersRequest request;
  request.set_reference(reference);
  request.set_artifact_type(artifact_type);
  Fill(reach, login, *request.mutable_access());
  BERTH_ASSIGN_OR_RETURN(const api::ListReferrersResponse response,
                         Unary(connection_, *connection_.stubs().registries,
                               &api::Registries::Stub::ListReferrers, request),
                         _ << "referrers of " << reference);
  Referrers referrers;
  referrers.digest = response.digest();
  for (const auto& from : response.referrers()) {
    referrers.list.push_back(
        {.artifact_type = from.artifact_type(),
         .media_type = from.media_type(),
         .digest = from.digest(),
         .size_bytes = from.size(),
         .annotations = {from.annotations().begin(), from.annotations().end()}});
  }
  return referrers;
}

absl::StatusOr<std::vector<std::string>> RegistryClient::ListTags(
    const std::string& reference, const RegistryReach& reach, const RegistryLogin& login) const {
  api::ListTagsRequest request;
  request.set_reference(reference);
  Fill(reach, login, *request.mutable_access());
  BERTH_ASSIGN_OR_RETURN(const api::ListTagsResponse response,
                         Unary(connection_, *connection_.stubs().registries,
                               &api::Registries::Stub::ListTags, request),
                         _ << "tags of " << reference);
  return std::vector<std::string>(response.tags().begin(), response.tags().end());
}

absl::StatusOr<RegistryLogin> RegistryClient::CheckLogin(const std::string& host,
                                                         const RegistryReach& reach,
                                                         RegistryLogin login) const {
  api::CheckLoginRequest request;
  request.set_host(host);
  request.set_scheme(reach.scheme);
  request.set_hosts_directory(reach.hosts_directory);
  request.set_username(login.username);
  request.set_password(login.password);
  BERTH_ASSIGN_OR_RETURN(const api::CheckLoginResponse response,
                         Unary(connection_, *connection_.stubs().registries,
                               &api::Registries::Stub::CheckLogin, request),
                         _ << "log in to " << host);
  login.identity_token = response.identity_token();
  return login;
}

}  // namespace berth::client
