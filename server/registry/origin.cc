#include "server/registry/origin.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"

namespace berth::registry {
namespace {

constexpr absl::Duration kDownTime = absl::Seconds(30);

bool Has(const worker::v1::Host& host, Capability capability) {
  switch (capability) {
    case Capability::kPull:
      return host.can_pull();
    case Capability::kResolve:
      return host.can_resolve();
    case Capability::kPush:
      return host.can_push();
    case Capability::kRefer:
      return host.can_refer() || host.can_resolve();
  }
  return false;
}

absl::string_view NameOf(Capability capability) {
  switch (capability) {
    case Capability::kPull:
      return "pull";
    case Capability::kResolve:
      return "resolve";
    case Capability::kPush:
      return "push";
    case Capability::kRefer:
      return "referrers";
  }
  return "";
}

}  // namespace

absl::Status TryHosts(const worker::v1::Origin& origin, Capability capability,
                      const Context& context,
                      absl::FunctionRef<absl::Status(HostClient&)> try_host) {
  absl::Status last = absl::FailedPreconditionError(
      absl::StrCat("no host of ", origin.registry(), " has the capability \"", NameOf(capability),
                   "\"; see its hosts.toml"));
  std::string before;
  std::vector<const worker::v1::Host*> hosts;
  for (const worker::v1::Host& host : origin.hosts()) {
    if (Has(host, capability)) hosts.push_back(&host);
  }
  for (const worker::v1::Host* const host : hosts) {
    const bool is_last = host == hosts.back();
    if (!is_last && context.session.IsDown(host->host(), absl::Now())) continue;
    if (!before.empty()) absl::StrAppend(&before, "; then ");
    HostClient client(*host, origin.registry(), context.session, context.cancelled);
    if (!is_last) client.set_attempts(HostClient::kFewAttempts);
    absl::Status status = try_host(client);
    if (status.ok() || absl::IsCancelled(status)) return status;
    if (absl::IsUnavailable(status)) context.session.PutDown(host->host(), absl::Now() + kDownTime);
    last = before.empty() ? status
                          : absl::Status(status.code(), absl::StrCat(before, status.message()));
    absl::StrAppend(&before, status.message());
  }
  return last;
}

std::string RepositoryScope(absl::string_view repository, absl::string_view actions) {
  return absl::StrCat("repository:", repository, ":", actions);
}

}  // namespace berth::registry
