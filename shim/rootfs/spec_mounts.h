// The mounts that a specification lists, made inside the root.
//
// Bind sources are opened first, as detached trees, while the host's paths still mean what the
// specification's author saw; each is then attached to a descriptor of its target. Other
// filesystems are made by fsopen and attached the same way. For the child after clone3.
#ifndef BERTH_SHIM_ROOTFS_SPEC_MOUNTS_H_
#define BERTH_SHIM_ROOTFS_SPEC_MOUNTS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "shim/init/reporter.h"
#include "shim/spec/launch_plan.h"

namespace berth::rootfs {

// One hierarchy as a `cgroup` mount shows it.
struct CgroupView {
  std::string name;            // directory below the target: memory; empty for pure v2
  std::string controllers;     // v1 mount data: "cpu,cpuacct"
  std::string container_path;  // the container's directory on the host
  bool unified = false;
};

struct MountContext {
  int root = -1;    // O_PATH, the rootfs
  int bundle = -1;  // relative bind sources start here
  bool new_cgroup_namespace = false;
  bool new_network_namespace = false;
  const std::vector<CgroupView>* cgroups = nullptr;
  const std::string* mount_label = nullptr;
  // Called before the first mount that shows cgroups.
  absl::FunctionRef<void()> ensure_cgroup;
};

// Opens the sources of all bind mounts into `sources` (one for each mount of `plan`, -1 for
// others). `id_maps`: user namespace descriptors for id-mapped mounts, or -1, likewise.
void OpenBindSources(init::Reporter& report, const spec::LaunchPlan& plan, int bundle,
                     const std::vector<int>& id_maps, std::vector<int>& sources);

// Makes all mounts. Sources are closed.
void MountAll(init::Reporter& report, const spec::LaunchPlan& plan, const MountContext& context,
              const std::vector<int>& sources);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_SPEC_MOUNTS_H_
