// The hosts that serve a repository, tried in order.
//
// Functions over borrowed values; thread-safe where the session is.
#ifndef BERTH_SERVER_REGISTRY_ORIGIN_H_
#define BERTH_SERVER_REGISTRY_ORIGIN_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/host_client.h"
#include "server/registry/session.h"

namespace berth::registry {

// What a job works with.
struct Context {
  Session& session;
  const std::atomic<bool>& cancelled;
};

enum class Capability { kPull, kResolve, kPush, kRefer };

// Calls `try_host` for each host with the capability until it succeeds. Errors: CANCELLED at once;
// FAILED_PRECONDITION where no host has the capability; else the code of the last host (the
// registry itself stands last) and what each of them said.
absl::Status TryHosts(const worker::v1::Origin& origin, Capability capability,
                      const Context& context,
                      absl::FunctionRef<absl::Status(HostClient&)> try_host);

// "repository:NAME:pull"; `actions` as "pull,push".
std::string RepositoryScope(absl::string_view repository, absl::string_view actions);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_ORIGIN_H_
