// uid and gid maps: written for a new user namespace, or made into one for id-mapped mounts.
//
// Thread-hostile (the second clones). Used by shim/launch only.
#ifndef BERTH_SHIM_LAUNCH_USER_MAPS_H_
#define BERTH_SHIM_LAUNCH_USER_MAPS_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "shim/spec/launch_plan.h"

namespace berth::launch {

absl::Status WriteUserMaps(pid_t pid, const std::vector<spec::IdMapping>& uids,
                           const std::vector<spec::IdMapping>& gids);

// A user namespace with these maps that no process lives in, for MOUNT_ATTR_IDMAP.
absl::StatusOr<UniqueFd> MakeUserNamespace(const std::vector<spec::IdMapping>& uids,
                                           const std::vector<spec::IdMapping>& gids);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_USER_MAPS_H_
