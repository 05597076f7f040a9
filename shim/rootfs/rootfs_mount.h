// The root filesystem's own mounts, as a snapshotter hands them out, made with mount(2).
//
// They are made in a mount namespace of the container's own, at <bundle>/<root>, where hooks look
// for them; the host's table never has them. RootfsMount is a plain value; PreparedMount is one
// with its options sorted into flags and data, ready for the child. Concurrency: immutable values.
#ifndef BERTH_SHIM_ROOTFS_ROOTFS_MOUNT_H_
#define BERTH_SHIM_ROOTFS_ROOTFS_MOUNT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "shim/init/reporter.h"

namespace berth::rootfs {

// `target` is relative to the root, and empty as a rule.
struct RootfsMount {
  std::string type;
  std::string source;
  std::string target;
  std::vector<std::string> options;
};

struct PreparedMount {
  std::string type;
  std::string source;
  std::string target;
  unsigned long flags = 0;
  unsigned long propagation = 0;
  std::string data;
  // Data beyond a page is shortened: paths become relative to this directory.
  std::string working_directory;
  // Options that do not fit even then go to fsconfig one by one, "key=value" (Linux 6.7 for
  // overlay's "lowerdir+").
  std::vector<std::string> pieces;
};

// Errors: INVALID_ARGUMENT when options do not fit one page and cannot be given one by one.
absl::StatusOr<std::vector<PreparedMount>> PrepareRootfs(const std::vector<RootfsMount>& mounts);

// Makes the mounts at `root`. For the child after clone3; `working_directory` of the child is "/".
void MountRootfs(init::Reporter& report, const std::vector<PreparedMount>& mounts,
                 const std::string& root);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_ROOTFS_MOUNT_H_
