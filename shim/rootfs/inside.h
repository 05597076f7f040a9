// Places inside a root directory, found or made without ever leaving it.
//
// The root is a descriptor; a path from a specification or an image is walked by the kernel below
// it (openat2 RESOLVE_IN_ROOT | NO_MAGICLINKS), and the result is a descriptor again, so no path is
// resolved twice. Missing directories are made one by one; a link that dangles is followed inside
// the root, as images have /etc/resolv.conf point to files that only exist at run time. For the
// child after clone3: faults end it through the Reporter, nothing allocates.
#ifndef BERTH_SHIM_ROOTFS_INSIDE_H_
#define BERTH_SHIM_ROOTFS_INSIDE_H_

#include <sys/types.h>

#include <cstdint>

#include "shim/init/reporter.h"

namespace berth::rootfs {

// An O_PATH descriptor of the directory `path`, made with mode 0755 where missing.
int OpenOrMakeDirectory(init::Reporter& report, int root, const char* path);

enum class TargetKind { kDirectory, kFile };
// An O_PATH descriptor of a mount's target, made where missing. `extra`: RESOLVE_NO_SYMLINKS, or 0.
int OpenOrMakeTarget(init::Reporter& report, int root, const char* path, TargetKind kind,
                     uint64_t extra);

// The directory that holds `path` (made where missing), and the name in it.
struct Place {
  int directory;
  const char* name;  // points into `path`
};
Place OpenParent(init::Reporter& report, int root, const char* path);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_INSIDE_H_
