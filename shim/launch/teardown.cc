#include "shim/launch/teardown.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "shim/launch/rootfs_dropper.h"

namespace berth::launch {
namespace {

constexpr absl::Duration kFirstWait = absl::Microseconds(500);
constexpr absl::Duration kLongestWait = absl::Milliseconds(50);
constexpr absl::Duration kCgroupPatience = absl::Seconds(10);
constexpr absl::Duration kRootfsPatience = absl::Seconds(60);

}  // namespace

Teardown::~Teardown() { loop_.Cancel(timer_); }

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
  // Dropped already, as a rule, when init ended.
  absl::Status status = StartToDrop(loop_, state_);
  if (!status.ok()) return Finish(std::move(status));
  if (state_.rootfs_dropper == nullptr || !state_.rootfs_dropper->running()) return RunPoststop();
  state_.rootfs_dropper->Wait(kRootfsPatience, [this](RootfsDropper::Result result) {
    if (result == RootfsDropper::Result::kStillBusy) {
      state_.warnings.push_back(absl::StrCat("the root filesystem of ", state_.id,
                                             " is still being unmounted after ",
                                             absl::FormatDuration(kRootfsPatience), "; going on"));
    }
    RunPoststop();
  });
}

absl::Status Teardown::StartToDrop(Loop& loop, ContainerState& state) {
  if (state.rootfs_is_callers) state.rootfs.Reset();
  if (!state.rootfs.valid()) return absl::OkStatus();
  state.rootfs_dropper = std::make_unique<RootfsDropper>(loop);
  return state.rootfs_dropper->Start(state.rootfs);
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
