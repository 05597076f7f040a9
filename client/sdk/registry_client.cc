#include "client/sdk/registry_client.h"

#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace api = ::berth::images::v1;

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
