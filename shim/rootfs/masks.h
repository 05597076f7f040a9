// What a container must not see or change: masked paths, read-only paths, a read-only root.
//
// A masked file becomes the host's /dev/null, a masked directory one shared empty read-only tmpfs;
// a read-only path becomes a read-only bind of itself. Each path is opened once below the root; one
// that does not exist is skipped. For the child after clone3.
#ifndef BERTH_SHIM_ROOTFS_MASKS_H_
#define BERTH_SHIM_ROOTFS_MASKS_H_

#include "shim/init/reporter.h"
#include "shim/spec/launch_plan.h"

namespace berth::rootfs {

void MaskPaths(init::Reporter& report, const spec::LaunchPlan& plan, int root);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_MASKS_H_
