// One new filesystem by fsopen(2), as a detached mount.
//
// For the child after clone3: faults end it with what the filesystem itself had to say. Values
// beyond what fsconfig takes (255 bytes) go through mount(2) on the target's descriptor instead.
#ifndef BERTH_SHIM_ROOTFS_FILESYSTEM_H_
#define BERTH_SHIM_ROOTFS_FILESYSTEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "shim/init/reporter.h"

namespace berth::rootfs {

struct FilesystemRequest {
  const char* type = "";
  const char* source = "";
  const std::vector<std::string>* flags = nullptr;  // sync, lazytime
  const std::vector<std::string>* data = nullptr;   // name or name=value
  const char* first_option = nullptr;  // before `data`, which may say it again: name=value
  const char* label = nullptr;         // SELinux context
  uint64_t attributes = 0;             // MOUNT_ATTR_*
  int root = -1;                       // where `target_name` starts
  const char* target_name = "";        // for messages, and to find the mount after mount(2)
};

// Makes the filesystem, attaches it to `target`, and returns a descriptor of the attached mount.
int MountFilesystem(init::Reporter& report, const FilesystemRequest& request, int target);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_FILESYSTEM_H_
