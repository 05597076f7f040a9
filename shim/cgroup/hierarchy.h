// The control group hierarchies of this host: one (v2), many (v1), or both (hybrid).
//
// Found from /proc/self/cgroup and the mounts below /sys/fs/cgroup, without reading the mount
// table, which is long where many containers run. Immutable, thread-safe.
#ifndef BERTH_SHIM_CGROUP_HIERARCHY_H_
#define BERTH_SHIM_CGROUP_HIERARCHY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cgroup {

struct Hierarchy {
  std::string mount_point;               // /sys/fs/cgroup/memory
  std::vector<std::string> controllers;  // v1: memory; "name=systemd" for a named one. v2: empty
  bool unified = false;                  // cgroup2
  std::string own_path;                  // of the reading process, from the hierarchy's root
};

// `proc_cgroup` is the text of /proc/<pid>/cgroup, `root` the directory of the mounts. Hierarchies
// that are not mounted there are left out. Errors: FAILED_PRECONDITION when none is.
absl::StatusOr<std::vector<Hierarchy>> FindHierarchies(absl::string_view proc_cgroup,
                                                       absl::string_view root);
// The same for this process and /sys/fs/cgroup.
absl::StatusOr<std::vector<Hierarchy>> FindHierarchies();

// `path` without ".", ".." and empty parts, with one leading slash: it cannot leave its root.
std::string CleanPath(absl::string_view path);

// The directory of container `id` in `hierarchy`: `cgroups_path` from its root when it is absolute,
// else below the caller's own group; an empty one means `id`.
std::string ContainerDirectory(const Hierarchy& hierarchy, absl::string_view cgroups_path,
                               absl::string_view id);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_HIERARCHY_H_
