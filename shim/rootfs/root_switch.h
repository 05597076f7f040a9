// From the host's tree of mounts to the container's root, and no way back.
//
// For the child after clone3, in a mount namespace of its own. The old root becomes a slave before
// it is detached: on a host whose "/" is a shared mount, detaching would otherwise unmount
// everything there as well.
#ifndef BERTH_SHIM_ROOTFS_ROOT_SWITCH_H_
#define BERTH_SHIM_ROOTFS_ROOT_SWITCH_H_

#include <cstdint>
#include <string>

#include "shim/init/reporter.h"

namespace berth::rootfs {

// Sets the propagation of the whole tree to `flags` (MS_SLAVE | MS_REC when 0), before anything is
// mounted.
void SetRootPropagation(init::Reporter& report, uint64_t flags);

// Gives the mount that holds `path` a propagation, MS_PRIVATE or MS_SLAVE: neither the rootfs mount
// nor pivot_root may propagate.
void SetParentPropagation(init::Reporter& report, const std::string& path, unsigned long flag);

// Binds `path` onto itself, so that it is a mount and can become the root.
void BindOnItself(init::Reporter& report, const std::string& path);

// pivot_root to `root` (a descriptor of the rootfs mount). The working directory is then "/".
void PivotRoot(init::Reporter& report, int root);
// For a host whose root is an initramfs, which cannot be pivoted away from: the new root is moved
// on top of the old, after the host's proc and sysfs are unmounted.
void MoveRoot(init::Reporter& report, int root, const std::string& path);

// The propagation the specification wants for the container's root, after the switch.
void SetFinalPropagation(init::Reporter& report, uint64_t flags);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_ROOT_SWITCH_H_
