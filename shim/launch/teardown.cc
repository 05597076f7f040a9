#include "shim/launch/teardown.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "shim/launch/clone.h"

namespace berth::launch {
namespace {

constexpr absl::Duration kFirstWait = absl::Microseconds(500);
constexpr absl::Duration kLongestWait = absl::Milliseconds(50);
constexpr absl::Duration kCgroupPatience = absl::Seconds(10);
constexpr absl::Duration kRootfsPatience = absl::Seconds(60);

}  // namespace

Teardown::~Teardown() {
  loop_.Cancel(timer_);
  dropper_watch_.Reset();
  // A dropper that hangs in an unmount cannot be ended; it ends by itself, and init reaps it then.
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
  absl::StatusOr<Cloned> child = CloneChild(0, BorrowedFd(-1));
  if (!child.ok()) return Finish(child.status());
  // The child's copy becomes the last reference when ours is closed; its exit is the unmount.
  if (child->pid == 0) {
    // Nothing else of ours may live on in it, in case the unmount takes long.
    const int root = state_.rootfs.get();
    if (root > 0) ::syscall(SYS_close_range, 0, root - 1, 0);
    ::syscall(SYS_close_range, root + 1, ~0U, 0);
    ::_exit(0);
  }
  state_.rootfs.Reset();
  dropper_ = std::move(child->pidfd);
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

void Teardown::OnRootfsDropped() {
  loop_.Cancel(timer_);
  timer_ = TimerId::kNone;
  dropper_watch_.Reset();
  Reap(dropper_);
  dropper_.Reset();
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
