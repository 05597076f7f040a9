// Small questions to a registry: what a tag or digest is, which tags there are, what refers to a
// manifest, whether the credentials are good.
//
// Invariant: a manifest that is returned hashes to the digest that is returned with it, which is
// the one that was asked for where one was. Thread-safe functions that block.
#ifndef BERTH_SERVER_REGISTRY_RESOLVE_H_
#define BERTH_SERVER_REGISTRY_RESOLVE_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/origin.h"

namespace berth::registry {

// Errors (all functions): worker.proto, service Registry.
absl::StatusOr<worker::v1::ResolveResponse> Resolve(const worker::v1::ResolveRequest& request,
                                                    const Context& context);
absl::StatusOr<worker::v1::ReferrersResponse> Referrers(const worker::v1::ReferrersRequest& request,
                                                        const Context& context);
absl::StatusOr<worker::v1::TagsResponse> Tags(const worker::v1::TagsRequest& request,
                                              const Context& context);
absl::StatusOr<worker::v1::CheckLoginResponse> CheckLogin(
    const worker::v1::CheckLoginRequest& request, const Context& context);

// The whole manifest `object` (a tag or a digest) from one host, its digest checked.
struct Manifest {
  worker::v1::Descriptor descriptor;
  std::string bytes;
};
absl::StatusOr<Manifest> FetchManifest(HostClient& host, const std::string& repository,
                                       const std::string& object);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_RESOLVE_H_
