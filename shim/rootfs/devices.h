// /dev of a container: the default nodes and links, those the specification adds, and the console.
//
// Nodes are made by mknod, or bound from the host where a user namespace forbids that. For the
// child after clone3.
#ifndef BERTH_SHIM_ROOTFS_DEVICES_H_
#define BERTH_SHIM_ROOTFS_DEVICES_H_

#include "shim/init/reporter.h"
#include "shim/spec/launch_plan.h"

namespace berth::rootfs {

// How nodes come to be. kBind: a user namespace without CAP_MKNOD on the host.
enum class NodeMethod { kMake, kBind };

// Default nodes and links below `root`'s /dev, unless the specification binds a /dev of its own,
// and the nodes it lists.
void MakeDevices(init::Reporter& report, const spec::LaunchPlan& plan, int root, NodeMethod method);

// A pty of the container's own devpts, its slave also bound on /dev/console.
struct Console {
  int master = -1;
  int slave = -1;
};
Console MakeConsole(init::Reporter& report, const spec::LaunchPlan& plan, int root);

// A pty of the devpts at /dev/pts below `root`, for an exec.
Console OpenPty(init::Reporter& report, const spec::ProcessPlan& process, int root);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_DEVICES_H_
