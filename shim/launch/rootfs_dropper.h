// Lets go of a container's root filesystem in a short-lived child, because the last unmount of an
// overlay syncs its whole upper filesystem.
//
// Invariant: the child keeps nothing of ours but the root; its end is the unmount, unless somebody
// else still has the root. Nothing blocks the loop. Loop-only. Owned by the ContainerState; the
// Loop must outlive it.
#ifndef BERTH_SHIM_LAUNCH_ROOTFS_DROPPER_H_
#define BERTH_SHIM_LAUNCH_ROOTFS_DROPPER_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::launch {

class RootfsDropper {
 public:
  explicit RootfsDropper(Loop& loop) : loop_(loop) {}
  RootfsDropper(const RootfsDropper&) = delete;
  RootfsDropper& operator=(const RootfsDropper&) = delete;
  // A child that hangs in an unmount cannot be ended; it ends by itself, and init reaps it then.
  ~RootfsDropper();

  // Takes `root` along; once. Errors, with `root` as it was: as clone3(2).
  absl::Status Start(UniqueFd& root);
  bool running() const { return watch_.active(); }
  enum class Result { kDropped, kStillBusy };
  // `done` is called from the loop when the child has ended, or after `patience`, when the child is
  // left to itself. Requires running().
  void Wait(absl::Duration patience, absl::AnyInvocable<void(Result)> done);

  // What a child that shares our memory stands on, from its clone to its end.
  struct SharedMemory {
    std::atomic<int32_t> ours_is_closed = 0;  // a futex
    pid_t parent = 0;
    alignas(16) char stack[2048];
  };

 private:
  absl::StatusOr<UniqueFd> Clone(UniqueFd& root);
  absl::StatusOr<UniqueFd> CloneLean(UniqueFd& root);
  void Finish(Result result);

  Loop& loop_;
  std::unique_ptr<SharedMemory> memory_;
  UniqueFd child_;  // a pidfd
  FdWatch watch_;
  TimerId timer_ = TimerId::kNone;
  absl::AnyInvocable<void(Result)> done_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_ROOTFS_DROPPER_H_
