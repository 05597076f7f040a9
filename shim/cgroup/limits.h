// Writes an OCI resources section into a cgroup's control files, in v1's words and in v2's.
//
// Each limit goes to the hierarchy that has its controller. Device rules become v1's devices files,
// or an eBPF program where there is no v1 devices hierarchy. Thread-compatible functions.
#ifndef BERTH_SHIM_CGROUP_LIMITS_H_
#define BERTH_SHIM_CGROUP_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "shim/spec/resources.h"

namespace berth::cgroup {

class Cgroup;
struct Directory;

absl::Status ApplyLimits(const Cgroup& group, const spec::Resources& resources);
// Whether `resources` asks for nothing but device rules.
bool IsWithoutLimits(const spec::Resources& resources);
// The halves of it, for the directories of one kind.
absl::Status ApplyV1(const Cgroup& group, const spec::Resources& resources);
absl::Status ApplyV2(const Directory& directory, const spec::Resources& resources);

// cpu.shares (2 to 262144, default 1024) as cpu.weight (1 to 10000, default 100). The curve goes
// through both defaults and both ends, as runc 1.4's and crun 1.23's does.
uint64_t SharesToWeight(uint64_t shares);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_LIMITS_H_
