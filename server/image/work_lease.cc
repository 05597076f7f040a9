#include "server/image/work_lease.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status/status_macros.h"
#include "server/metadata/labels.h"

namespace berth::image {
namespace {

constexpr absl::Duration kLifetime = absl::Hours(24);

}  // namespace

absl::StatusOr<std::unique_ptr<WorkLease>> WorkLease::Create(metadata::LeaseStore& leases,
                                                             const metadata::Caller& caller) {
  if (!caller.lease.empty()) {
    return std::unique_ptr<WorkLease>(new WorkLease(leases, caller, Owner::kCaller));
  }
  metadata::Labels labels;
  labels["containerd.io/gc.expire"] =
      absl::FormatTime(absl::RFC3339_full, absl::Now() + kLifetime, absl::UTCTimeZone());
  BERTH_ASSIGN_OR_RETURN(const auto lease, leases.Create(caller, "", labels),
                         _ << "make a lease for the transfer");
  return std::unique_ptr<WorkLease>(new WorkLease(leases, {caller.ns, lease.id()}, Owner::kUs));
}

WorkLease::~WorkLease() {
  if (is_ours_) leases_.Delete(caller_, caller_.lease).IgnoreError();
}

}  // namespace berth::image
