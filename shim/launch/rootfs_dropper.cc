#include "shim/launch/rootfs_dropper.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/clone.h"
#include "shim/launch/raw_clone.h"

namespace berth::launch {
namespace {

// In a child that shares our memory, and leaves it before it closes its copies of our descriptors:
// an unmount that takes long keeps nothing of ours but the root.
void ChildMain(void* argument) {
  const auto& memory = *static_cast<const RootfsDropper::SharedMemory*>(argument);
  // A parent that was killed closes it too, but says nothing.
  while (memory.ours_is_closed.load() == 0 && RawCall(SYS_getppid, 0) == memory.parent) {
    const struct timespec until_next_look = {0, 20'000'000};
    RawCall(SYS_futex, reinterpret_cast<long>(&memory.ours_is_closed), FUTEX_WAIT, 0,
            reinterpret_cast<long>(&until_next_look));
  }
  while (true) RawCall(SYS_exit_group, 0);
}

}  // namespace

RootfsDropper::~RootfsDropper() {
  loop_.Cancel(timer_);
  if (!running()) return;
  watch_.Reset();
  // Whether the child has left its stack is not known.
  (void)memory_.release();
}

absl::Status RootfsDropper::Start(UniqueFd& root) {
  BERTH_ASSIGN_OR_RETURN(child_, kCanShareMemory ? CloneLean(root) : Clone(root));
  BERTH_ASSIGN_OR_RETURN(
      watch_, loop_.Watch(child_, EPOLLIN, [this](uint32_t) { Finish(Result::kDropped); }));
  return absl::OkStatus();
}

void RootfsDropper::Wait(absl::Duration patience, absl::AnyInvocable<void(Result)> done) {
  done_ = std::move(done);
  timer_ = loop_.After(patience, [this] {
    timer_ = TimerId::kNone;
    Finish(Result::kStillBusy);
  });
}

// The child's copy becomes the last reference when ours is closed; its exit is the unmount.
absl::StatusOr<UniqueFd> RootfsDropper::Clone(UniqueFd& root) {
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneChild(0, BorrowedFd(-1)));
  if (child.pid == 0) {
    // Nothing else of ours may live on in it, in case the unmount takes long.
    if (root.get() > 0) ::syscall(SYS_close_range, 0, root.get() - 1, 0);
    ::syscall(SYS_close_range, root.get() + 1, ~0U, 0);
    ::_exit(0);
  }
  root.Reset();
  return std::move(child.pidfd);
}

// A copy of our page tables would cost more than the unmount.
absl::StatusOr<UniqueFd> RootfsDropper::CloneLean(UniqueFd& root) {
  memory_ = std::make_unique<SharedMemory>();
  memory_->parent = ::getpid();
  int pidfd = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_VM | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(memory_->stack);
  arguments.stack_size = sizeof(memory_->stack);
  const long pid = RawClone(arguments, &ChildMain, memory_.get());
  if (pid < 0) return ErrnoStatus(static_cast<int>(-pid), "clone3");
  root.Reset();
  memory_->ours_is_closed.store(1);
  RawCall(SYS_futex, reinterpret_cast<long>(&memory_->ours_is_closed), FUTEX_WAKE, 1);
  return UniqueFd(pidfd);
}

void RootfsDropper::Finish(Result result) {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  watch_.Reset();
  if (result == Result::kDropped) {
    Reap(child_);
    memory_.reset();
  } else {
    (void)memory_.release();  // as in the destructor
  }
  child_.Reset();
  if (auto done = std::exchange(done_, nullptr)) done(result);
}

}  // namespace berth::launch
