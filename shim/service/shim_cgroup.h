// The runtime option ShimCgroup: the group that the shim itself moves to. Thread-compatible.
#ifndef BERTH_SHIM_SERVICE_SHIM_CGROUP_H_
#define BERTH_SHIM_SERVICE_SHIM_CGROUP_H_

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::service {

// Makes `path`, from the root of each hierarchy, where it is missing, and moves process `pid` there
// (0: this one).
absl::Status JoinCgroup(absl::string_view path, pid_t pid = 0);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_SHIM_CGROUP_H_
