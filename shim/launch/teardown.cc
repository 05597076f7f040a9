#include "shim/launch/teardown.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/clone.h"
#include "shim/launch/raw_clone.h"

namespace berth::launch {
namespace {

constexpr absl::Duration kFirstWait = absl::Microseconds(500);
constexpr absl::Duration kLongestWait = absl::Milliseconds(50);
constexpr absl::Duration kCgroupPatience = absl::Seconds(10);
constexpr absl::Duration kRootfsPatience = absl::Seconds(60);

// In a child that shares our memory, and leaves it before it closes its copies of our descriptors:
// an unmount that takes long keeps nothing of ours but the root.
void DropperMain(void* argument) {
  const auto& memory = *static_cast<const Teardown::DropperMemory*>(argument);
  // A parent that was killed closes it too, but says nothing.
  while (memory.ours_is_closed.load() == 0 && RawCall(SYS_getppid, 0) == memory.parent) {
    const struct timespec until_next_look = {0, 20'000'000};
    RawCall(SYS_futex, reinterpret_cast<long>(&memory.ours_is_closed), FUTEX_WAIT, 0,
            reinterpret_cast<long>(&until_next_look));
  }
  while (true) RawCall(SYS_exit_group, 0);
}

}  // namespace

Teardown::~Teardown() {
  loop_.Cancel(timer_);
  dropper_watch_.Reset();
  // A dropper that hangs in an unmount cannot be ended; it ends by itself, and init reaps it then.
  // Whether it has left its stack is not known.
  (void)dropper_memory_.release();
}

void Teardown::Run(absl::AnyInvocable<void(absl::Status)> done) {
  done_ = std::move(done);
  waited_ = absl::ZeroDuration();
  wait_ = kFirstWait;
  state_.control.Reset();
  if (state_.init_pidfd.valid()) {
    // Gone already as a rule.
    ::syscall(SYS_pidfd_send_signal, state_.init_pidfd.get(), SIGKILL, nullptr, 0);
  }
  timer_ = loop_.After(absl::ZeroDuration(), [this] { RemoveCgroup(); });
}

void Teardown::RemoveCgroup() {
  timer_ = TimerId::kNone;
  absl::Status status = state_.cgroup.Remove();
  if (status.ok()) {
    if (state_.intel_rdt) {
      absl::Status left = LeaveIntelRdt(*std::exchange(state_.intel_rdt, std::nullopt), state_.id);
      if (!left.ok()) state_.warnings.push_back(std::string(left.message()));
    }
    return DropRootfs();
  }
  if (!absl::IsFailedPrecondition(status)) return Finish(std::move(status));
  if (waited_ >= kCgroupPatience) {
    return Finish(absl::DeadlineExceededError(absl::StrCat(
        status.message(), "; they do not end by SIGKILL: look for processes in state D")));
  }
  state_.cgroup.SignalAll(SIGKILL).IgnoreError();  // what is still there shows in the next attempt
  timer_ = loop_.After(wait_, [this] { RemoveCgroup(); });
  waited_ += wait_;
  wait_ = std::min(wait_ * 2, kLongestWait);
}

void Teardown::DropRootfs() {
  // The last unmount of a filesystem may write back all of it, and happens in a child.
  if (state_.rootfs_is_callers) state_.rootfs.Reset();
  if (!state_.rootfs.valid()) return RunPoststop();
  absl::StatusOr<UniqueFd> dropper = StartDropper();
  if (!dropper.ok()) return Finish(dropper.status());
  dropper_ = *std::move(dropper);
  absl::StatusOr<FdWatch> watch =
      loop_.Watch(dropper_, EPOLLIN, [this](uint32_t) { OnRootfsDropped(); });
  if (!watch.ok()) return Finish(watch.status());
  dropper_watch_ = *std::move(watch);
  timer_ = loop_.After(kRootfsPatience, [this] {
    timer_ = TimerId::kNone;
    dropper_watch_.Reset();
    dropper_.Reset();
    state_.warnings.push_back(absl::StrCat("the root filesystem of ", state_.id,
                                           " is still being unmounted after ",
                                           absl::FormatDuration(kRootfsPatience), "; going on"));
    RunPoststop();
  });
}

// Its copy becomes the last reference when ours is closed; its exit is the unmount.
absl::StatusOr<UniqueFd> Teardown::StartDropper() {
  if (kCanShareMemory) return StartLeanDropper();
  BERTH_ASSIGN_OR_RETURN(Cloned child, CloneChild(0, BorrowedFd(-1)));
  if (child.pid == 0) {
    // Nothing else of ours may live on in it, in case the unmount takes long.
    const int root = state_.rootfs.get();
    if (root > 0) ::syscall(SYS_close_range, 0, root - 1, 0);
    ::syscall(SYS_close_range, root + 1, ~0U, 0);
    ::_exit(0);
  }
  state_.rootfs.Reset();
  return std::move(child.pidfd);
}

// A copy of our page tables would cost more than the unmount.
absl::StatusOr<UniqueFd> Teardown::StartLeanDropper() {
  dropper_memory_ = std::make_unique<DropperMemory>();
  dropper_memory_->parent = ::getpid();
  int pidfd = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_VM | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(dropper_memory_->stack);
  arguments.stack_size = sizeof(dropper_memory_->stack);
  const long pid = RawClone(arguments, &DropperMain, dropper_memory_.get());
  if (pid < 0) return ErrnoStatus(static_cast<int>(-pid), "clone3");
  state_.rootfs.Reset();
  dropper_memory_->ours_is_closed.store(1);
  RawCall(SYS_futex, reinterpret_cast<long>(&dropper_memory_->ours_is_closed), FUTEX_WAKE, 1);
  return UniqueFd(pidfd);
}

void Teardown::OnRootfsDropped() {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  dropper_watch_.Reset();
  Reap(dropper_);
  dropper_.Reset();
  dropper_memory_.reset();
  RunPoststop();
}

void Teardown::RunPoststop() {
  if (!state_.poststop_due) return Finish(absl::OkStatus());
  state_.poststop_due = false;
  hooks_.Run("poststop", state_.poststop, StateJson(state_, "stopped", 0), state_.bundle,
             OnHookFailure::kContinue, [this](absl::Status status) {
               for (std::string& warning : hooks_.TakeWarnings()) {
                 state_.warnings.push_back(std::move(warning));
               }
               Finish(std::move(status));
             });
}

void Teardown::Finish(absl::Status status) {
  auto done = std::move(done_);
  done(std::move(status));
}

}  // namespace berth::launch
