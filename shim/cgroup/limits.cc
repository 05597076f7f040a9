#include "shim/cgroup/limits.h"

#include <cmath>

#include "base/status/status_macros.h"
#include "shim/cgroup/cgroup.h"
#include "shim/cgroup/device_filter.h"

namespace berth::cgroup {

uint64_t SharesToWeight(uint64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
  return static_cast<uint64_t>(std::ceil(std::pow(10, exponent)));
}

bool IsWithoutLimits(const spec::Resources& resources) {
  spec::Resources rest = resources;
  rest.devices.clear();
  if (rest.pids_limit && *rest.pids_limit <= 0) rest.pids_limit.reset();
  return rest == spec::Resources();
}

absl::Status ApplyLimits(const Cgroup& group, const spec::Resources& resources) {
  BERTH_RETURN_IF_ERROR(ApplyV1(group, resources));
  for (const Directory& directory : group.directories()) {
    if (!directory.unified) continue;
    // In a hybrid tree v2 only has what no v1 hierarchy took.
    if (group.directories().size() == 1) {
      BERTH_RETURN_IF_ERROR(ApplyV2(directory, resources));
      BERTH_RETURN_IF_ERROR(AttachDeviceFilter(directory.fd, resources.devices));
    } else {
      spec::Resources rest;
      rest.hugepages = group.FindController("hugetlb") == nullptr ? resources.hugepages
                                                                  : decltype(rest.hugepages){};
      rest.rdma = group.FindController("rdma") == nullptr ? resources.rdma : decltype(rest.rdma){};
      rest.unified = resources.unified;
      BERTH_RETURN_IF_ERROR(ApplyV2(directory, rest));
      if (group.FindController("devices") == nullptr) {
        BERTH_RETURN_IF_ERROR(AttachDeviceFilter(directory.fd, resources.devices));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::cgroup
