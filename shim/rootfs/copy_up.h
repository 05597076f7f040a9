// tmpcopyup: a new tmpfs starts with what the directory below it holds.
//
// Files, directories, links and nodes with owner, mode, times and extended attributes. For the
// child after clone3.
#ifndef BERTH_SHIM_ROOTFS_COPY_UP_H_
#define BERTH_SHIM_ROOTFS_COPY_UP_H_

#include "shim/init/reporter.h"

namespace berth::rootfs {

// Copies the content of directory `from` (an O_PATH descriptor) into `to`. `name` is for messages.
void CopyUp(init::Reporter& report, int from, int to, const char* name);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_COPY_UP_H_
