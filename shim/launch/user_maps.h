// uid and gid maps: written for a new user namespace, or made into one for id-mapped mounts.
//
// Root writes them. Anybody else may map only his own id by himself (user_namespaces(7)); for more
// of them the programs newuidmap and newgidmap do it, which know from /etc/subuid and /etc/subgid
// what belongs to whom. Thread-hostile (the last clones). Used by shim/launch only.
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

// The same where the caller is no root of any namespace; `pid` must be dumpable. Waits for the
// programs, at most some seconds. Errors: FAILED_PRECONDITION when one is missing or refuses.
absl::Status WriteUserMapsWithoutRoot(pid_t pid, const std::vector<spec::IdMapping>& uids,
                                      const std::vector<spec::IdMapping>& gids);

// A user namespace with these maps that no process lives in, for MOUNT_ATTR_IDMAP.
absl::StatusOr<UniqueFd> MakeUserNamespace(const std::vector<spec::IdMapping>& uids,
                                           const std::vector<spec::IdMapping>& gids);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_USER_MAPS_H_
