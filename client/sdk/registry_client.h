// Berth's Registries service, typed. Thread-safe.
#ifndef BERTH_CLIENT_SDK_REGISTRY_CLIENT_H_
#define BERTH_CLIENT_SDK_REGISTRY_CLIENT_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "client/sdk/connection.h"
#include "client/sdk/registry_login.h"

namespace berth::client {

class RegistryClient {
 public:
  explicit RegistryClient(Connection connection) : connection_(std::move(connection)) {}

  // Whether the registry takes the login; what to keep of it: an identity token instead of the
  // password where the registry gave one. Errors: UNAUTHENTICATED.
  absl::StatusOr<RegistryLogin> CheckLogin(const std::string& host, const RegistryReach& reach,
                                           RegistryLogin login) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_REGISTRY_CLIENT_H_
