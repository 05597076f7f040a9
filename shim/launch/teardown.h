// The removal of a container: processes, cgroup, root filesystem, poststop hooks.
//
// Each step may be repeated; what is gone already is skipped. Nothing blocks the loop. Loop-only.
// Owned by the Container or by a failed Creation.
#ifndef BERTH_SHIM_LAUNCH_TEARDOWN_H_
#define BERTH_SHIM_LAUNCH_TEARDOWN_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "shim/launch/container_state.h"
#include "shim/launch/hook_runner.h"

namespace berth::launch {

class Teardown {
 public:
  Teardown(Loop& loop, ContainerState& state) : loop_(loop), state_(state), hooks_(loop) {}
  ~Teardown();

  // Errors: DEADLINE_EXCEEDED naming the cgroup that processes will not leave, or the filesystem
  // that will not let go; the call may be repeated. `done` is called from the loop.
  void Run(absl::AnyInvocable<void(absl::Status)> done);

  // The root filesystem alone, as soon as no process of the container is left to need it: its
  // unmount, which may take long, is then well under way when Run comes to it. Errors: as
  // clone3(2).
  static absl::Status StartToDrop(Loop& loop, ContainerState& state);

 private:
  void RemoveCgroup();
  void DropRootfs();
  void RunPoststop();
  void Finish(absl::Status status);

  Loop& loop_;
  ContainerState& state_;
  HookRunner hooks_;
  absl::AnyInvocable<void(absl::Status)> done_;
  TimerId timer_ = TimerId::kNone;
  absl::Duration wait_ = absl::ZeroDuration();
  absl::Duration waited_ = absl::ZeroDuration();
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_TEARDOWN_H_
