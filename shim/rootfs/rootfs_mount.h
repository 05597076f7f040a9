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
#include "shim/spec/launch_plan.h"

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
  // Of a root for a user namespace: the layers below (or the bind's source) are shown by these
  // maps. Whoever mounts makes the namespace that has them.
  std::vector<spec::IdMapping> uid_mappings;
  std::vector<spec::IdMapping> gid_mappings;
  std::vector<std::string> lowers;  // of an overlay with maps
  int id_map = -1;                  // borrowed: the user namespace with the maps
};

// Errors: INVALID_ARGUMENT when options do not fit one page and cannot be given one by one, or the
// maps of ids are none.
absl::StatusOr<std::vector<PreparedMount>> PrepareRootfs(const std::vector<RootfsMount>& mounts);

// Makes the mounts at `root`. For the child after clone3; `working_directory` of the child is "/".
void MountRootfs(init::Reporter& report, const std::vector<PreparedMount>& mounts,
                 const std::string& root);

}  // namespace berth::rootfs

#endif  // BERTH_SHIM_ROOTFS_ROOTFS_MOUNT_H_
