// A transient scope of systemd's around init, asked for by a short-lived child.
//
// The child blocks in our place, and what D-Bus takes of memory ends with it; it is no member of
// the container's cgroup. Loop-only. Owned by the Creation.
#ifndef BERTH_SHIM_LAUNCH_SCOPE_JOB_H_
#define BERTH_SHIM_LAUNCH_SCOPE_JOB_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/cgroup/systemd_scope.h"

namespace berth::launch {

class ScopeJob {
 public:
  explicit ScopeJob(Loop& loop) : loop_(loop) {}
  ~ScopeJob();

  // Calls `done` from the loop when the process is in its scope. Errors: as StartScope.
  absl::Status Start(const cgroup::ScopeRequest& request,
                     absl::AnyInvocable<void(absl::Status)> done);

 private:
  void OnEnded();

  Loop& loop_;
  UniqueFd child_;
  FdWatch watch_;
  UniqueFd errors_;
  absl::AnyInvocable<void(absl::Status)> done_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_SCOPE_JOB_H_
