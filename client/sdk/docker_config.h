// Docker's config.json: who to be at which registry, kept there or by a credential helper.
//
// Read and written in Docker's own form ($DOCKER_CONFIG or ~/.docker), so that logins are shared
// with it; what else is in the file stays as it is. Passwords go to a helper where one is
// configured (credHelpers, credsStore), by its standard input. Thread-compatible; made per command.
#ifndef BERTH_CLIENT_SDK_DOCKER_CONFIG_H_
#define BERTH_CLIENT_SDK_DOCKER_CONFIG_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/json_access.h"
#include "client/sdk/registry_login.h"

namespace berth::client {

class DockerConfig {
 public:
  // $DOCKER_CONFIG/config.json, else ~/.docker/config.json.
  static std::string DefaultPath();
  // A missing file is an empty one. Errors: INVALID_ARGUMENT for one that is no JSON.
  static absl::StatusOr<DockerConfig> Load(std::string path);

  // Empty when there is none for the host ("docker.io", "registry.example:5000"). Errors: those of
  // a helper.
  absl::StatusOr<RegistryLogin> Find(absl::string_view host) const;
  // Says where the login went: a helper's name or the file. Durable when it returns; the file is
  // readable by its owner only.
  absl::StatusOr<std::string> Store(absl::string_view host, const RegistryLogin& login);
  // False when there was none.
  absl::StatusOr<bool> Erase(absl::string_view host);

 private:
  DockerConfig(std::string path, Json json) : path_(std::move(path)), json_(std::move(json)) {}
  // The helper for the host; empty: none.
  std::string HelperFor(const std::string& key) const;
  absl::Status Save() const;

  std::string path_;
  Json json_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_DOCKER_CONFIG_H_
