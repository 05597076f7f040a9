// The removal of a container: processes, cgroup, root filesystem, poststop hooks.
//
// Each step may be repeated; what is gone already is skipped. Nothing blocks the loop: the last
// reference to the root filesystem is dropped by a short-lived child, because the last unmount of
// an overlay syncs its whole upper filesystem. Loop-only. Owned by the Container or by a failed
// Creation.
#ifndef BERTH_SHIM_LAUNCH_TEARDOWN_H_
#define BERTH_SHIM_LAUNCH_TEARDOWN_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
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

  // What a dropper that shares our memory stands on, from its clone to its end.
  struct DropperMemory {
    std::atomic<int32_t> ours_is_closed = 0;  // a futex
    pid_t parent = 0;
    alignas(16) char stack[2048];
  };

 private:
  void RemoveCgroup();
  void DropRootfs();
  // Closes our root; the pidfd of the child that holds the last copy.
  absl::StatusOr<UniqueFd> StartDropper();
  absl::StatusOr<UniqueFd> StartLeanDropper();
  void OnRootfsDropped();
  void RunPoststop();
  void Finish(absl::Status status);

  Loop& loop_;
  ContainerState& state_;
  HookRunner hooks_;
  absl::AnyInvocable<void(absl::Status)> done_;
  TimerId timer_ = TimerId::kNone;
  absl::Duration wait_ = absl::ZeroDuration();
  absl::Duration waited_ = absl::ZeroDuration();
  std::unique_ptr<DropperMemory> dropper_memory_;
  UniqueFd dropper_;
  FdWatch dropper_watch_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_TEARDOWN_H_
