// Who to be at a registry (a user with a password, or a token that stands for both), and how to
// reach it. Plain values.
#ifndef BERTH_CLIENT_SDK_REGISTRY_LOGIN_H_
#define BERTH_CLIENT_SDK_REGISTRY_LOGIN_H_

#include <string>

namespace berth::client {

struct RegistryLogin {
  std::string username{};
  std::string password{};
  std::string identity_token{};  // instead of the password

  bool is_empty() const { return username.empty() && identity_token.empty(); }
};

struct RegistryReach {
  std::string scheme{};           // "http": without TLS; empty: what the registry's settings say
  std::string hosts_directory{};  // settings of registries, on the server; empty: the server's own
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_REGISTRY_LOGIN_H_
