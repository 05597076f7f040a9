// The scope unit that the systemd cgroup driver makes for a container: its names and its place.
//
// $.linux.cgroupsPath is "slice:prefix:name" there: the scope is prefix-name.scope, in the slice,
// of which "a-b.slice" lies in "a.slice". Pure; immutable, thread-safe.
#ifndef BERTH_SHIM_CGROUP_SYSTEMD_UNIT_H_
#define BERTH_SHIM_CGROUP_SYSTEMD_UNIT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cgroup {

enum class SystemdManager { kSystem, kUser };

struct SystemdUnit {
  std::string slice;  // machine-web.slice
  std::string scope;  // docker-0123.scope
  std::string path;  // /machine.slice/machine-web.slice/docker-0123.scope, below systemd's own root
};

// An empty `cgroups_path` means system.slice:berth:<id>, or user.slice:berth:<id> with a user's
// manager. Errors: INVALID_ARGUMENT.
absl::StatusOr<SystemdUnit> ParseSystemdUnit(absl::string_view cgroups_path, absl::string_view id,
                                             SystemdManager manager = SystemdManager::kSystem);

// Where systemd's units begin in a hierarchy, from /proc/<pid of systemd>/cgroup: "" as a rule.
// `proc_cgroup` is that file's text.
std::string SystemdRoot(absl::string_view proc_cgroup);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_SYSTEMD_UNIT_H_
