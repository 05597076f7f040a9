#include "server/image/registry_origin.h"

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/status/status_macros.h"
#include "server/registry/config/hosts_config.h"

namespace berth::image {
namespace {

// Where settings of registries are looked for when nobody names a directory: our own first, then
// those that are there for containerd and Docker.
constexpr const char* kDirectories[] = {"/etc/berth/certs.d", "/etc/containerd/certs.d",
                                        "/etc/docker/certs.d"};

std::vector<std::string> DirectoriesOf(const RegistryAccess& access) {
  if (!access.hosts_directory.empty()) return {access.hosts_directory};
  return {std::begin(kDirectories), std::end(kDirectories)};
}

void AddHeaders(const RegistryAccess& access, worker::v1::Host& host) {
  for (const auto& [name, value] : access.headers) {
    worker::v1::Header& header = *host.add_headers();
    header.set_name(name);
    header.add_values(value);
  }
}

void SetCredentials(const RegistryAccess& access, worker::v1::Host& host) {
  worker::v1::Credentials& credentials = *host.mutable_credentials();
  credentials.set_username(access.credentials.username);
  credentials.set_secret(access.credentials.password);
  credentials.set_identity_token(access.credentials.identity_token);
  credentials.set_access_token(access.credentials.access_token);
}

}  // namespace

absl::StatusOr<worker::v1::Origin> OriginOf(const Reference& reference,
                                            const RegistryAccess& access, RegistryUse use) {
  worker::v1::Origin origin;
  origin.set_registry(reference.host());
  origin.set_repository(reference.path());
  BERTH_ASSIGN_OR_RETURN(registry::Hosts hosts,
                         registry::LoadHosts(DirectoriesOf(access), reference.host()));
  // The settings' server stands last, and is the registry whatever its address is.
  const worker::v1::Host* const server = &hosts.back();
  for (worker::v1::Host& host : hosts) {
    // A pull asks nobody for leave to push: a registry may refuse a token for more than is needed.
    if (use == RegistryUse::kPull) host.set_can_push(false);
    // What belongs to the registry is not told to its mirrors.
    if (&host == server || !host.is_mirror()) {
      if (!access.scheme.empty()) host.set_scheme(access.scheme);
      AddHeaders(access, host);
      SetCredentials(access, host);
    }
    *origin.add_hosts() = std::move(host);
  }
  return origin;
}

}  // namespace berth::image
