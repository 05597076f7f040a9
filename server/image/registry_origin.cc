#include "server/image/registry_origin.h"

#include <string>

namespace berth::image {
namespace {

constexpr char kHubName[] = "docker.io";
constexpr char kHubHost[] = "registry-1.docker.io";

}  // namespace

absl::StatusOr<worker::v1::Origin> OriginOf(const Reference& reference,
                                            const RegistryAccess& access, RegistryUse use) {
  worker::v1::Origin origin;
  origin.set_registry(reference.host());
  origin.set_repository(reference.path());
  worker::v1::Host& host = *origin.add_hosts();
  host.set_scheme(access.scheme);
  host.set_host(reference.host() == kHubName ? kHubHost : reference.host());
  host.set_can_pull(true);
  host.set_can_resolve(true);
  host.set_can_push(use == RegistryUse::kPush);
  host.set_can_refer(true);
  for (const auto& [name, value] : access.headers) {
    worker::v1::Header& header = *host.add_headers();
    header.set_name(name);
    header.add_values(value);
  }
  worker::v1::Credentials& credentials = *host.mutable_credentials();
  credentials.set_username(access.credentials.username);
  credentials.set_secret(access.credentials.password);
  credentials.set_identity_token(access.credentials.identity_token);
  credentials.set_access_token(access.credentials.access_token);
  return origin;
}

}  // namespace berth::image
