// One call to systemd: start a transient scope around a process.
//
// Speaks D-Bus with systemd's private socket, and with the bus where that is not reachable; root
// with the system's systemd, anybody else with that of his session ($XDG_RUNTIME_DIR/systemd).
// Blocks until the process is in the scope: meant for a short-lived child, whose memory goes with
// it. Thread-compatible.
#ifndef BERTH_SHIM_CGROUP_SYSTEMD_SCOPE_H_
#define BERTH_SHIM_CGROUP_SYSTEMD_SCOPE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "shim/cgroup/systemd_unit.h"
#include "shim/spec/resources.h"

namespace berth::cgroup {

struct ScopeRequest {
  SystemdManager manager = SystemdManager::kSystem;
  SystemdUnit unit;
  std::string description;
  pid_t pid = -1;
  // Unit properties that are numbers: systemd writes them again whenever it looks at the unit.
  std::vector<std::pair<std::string, uint64_t>> limits;
};

// The limits of `resources` that have a unit property.
std::vector<std::pair<std::string, uint64_t>> ScopeLimits(const spec::Resources& resources);

// Errors: FAILED_PRECONDITION where systemd does not run, or the user has no session of it.
absl::Status CheckSystemdRuns(SystemdManager manager);
// Where the manager's units begin in a hierarchy: "" as a rule, and
// "/user.slice/user-1000.slice/user@1000.service" for a user's.
absl::StatusOr<std::string> ManagerRoot(SystemdManager manager);
// Errors: what systemd answered.
absl::Status StartScope(const ScopeRequest& request, absl::Time deadline);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_SYSTEMD_SCOPE_H_
