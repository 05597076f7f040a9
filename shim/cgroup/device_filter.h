// Which devices a container may open or make: rule lists, v1's text form, and v2's eBPF program.
//
// A list is read from its start, and the last rule that speaks of an access decides it; where none
// does, it is denied. Pure functions but AttachDeviceFilter; thread-safe.
#ifndef BERTH_SHIM_CGROUP_DEVICE_FILTER_H_
#define BERTH_SHIM_CGROUP_DEVICE_FILTER_H_

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/os/unique_fd.h"
#include "shim/spec/resources.h"

namespace berth::cgroup {

// `rules` followed by those every container gets: mknod of anything, and use of null, zero, full,
// random, urandom, tty, console, ptmx and pts.
std::vector<spec::DeviceRule> WithDefaultDevices(const std::vector<spec::DeviceRule>& rules);

// "c 1:3 rwm".
std::string DeviceRuleText(const spec::DeviceRule& rule);
// "mlx5_0 hca_handle=2 hca_object=2000".
std::string RdmaLine(const spec::RdmaLimit& limit);

// The program for BPF_PROG_TYPE_CGROUP_DEVICE that decides as `rules` do.
std::vector<bpf_insn> CompileDeviceFilter(const std::vector<spec::DeviceRule>& rules);

// Attaches the filter for `rules` and the default devices to a v2 directory in place of the one
// there. No rules: nothing is attached.
absl::Status AttachDeviceFilter(BorrowedFd directory, const std::vector<spec::DeviceRule>& rules);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_DEVICE_FILTER_H_
