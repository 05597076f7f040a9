// A cgroup's counters as containerd's Metrics message: v1's for v1 and hybrid hosts, v2's for v2.
//
// Counters that a kernel lacks are left out. Thread-compatible functions.
#ifndef BERTH_SHIM_CGROUP_STATS_H_
#define BERTH_SHIM_CGROUP_STATS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "proto/containerd/cgroups/v1/metrics.pb.h"
#include "proto/containerd/cgroups/v2/metrics.pb.h"
#include "shim/cgroup/cgroup.h"

namespace berth::cgroup {

io::containerd::cgroups::v1::Metrics CollectV1(const Cgroup& group);
io::containerd::cgroups::v2::Metrics CollectV2(const Cgroup& group);

// Whether the group's counters are v1's.
bool UsesV1(const Cgroup& group);

// Readers of control files that both use; a missing file reads as 0 or empty.
uint64_t ReadNumber(BorrowedFd directory, absl::string_view file);  // "max" is 2^64-1
std::vector<std::pair<std::string, uint64_t>> ReadFlatKeyed(BorrowedFd directory,
                                                            absl::string_view file);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_STATS_H_
