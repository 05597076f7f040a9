// Berth's Registries service, typed. Thread-safe.
#ifndef BERTH_CLIENT_SDK_REGISTRY_CLIENT_H_
#define BERTH_CLIENT_SDK_REGISTRY_CLIENT_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

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

  struct Referrer {
    std::string artifact_type;
    std::string media_type;
    std::string digest;
    int64_t size_bytes = 0;
    std::map<std::string, std::string> annotations;
  };
  struct Referrers {
    std::string digest;  // of what they refer to
    std::vector<Referrer> list;
  };
  // What refers to a manifest there; `artifact_type`: these alone, unless empty.
  absl::StatusOr<Referrers> ListReferrers(const std::string& reference,
                                          const std::string& artifact_type,
                                          const RegistryReach& reach,
                                          const RegistryLogin& login) const;
  absl::StatusOr<std::vector<std::string>> ListTags(const std::string& reference,
                                                    const RegistryReach& reach,
                                                    const RegistryLogin& login) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_REGISTRY_CLIENT_H_
