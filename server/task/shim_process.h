// The process of one shim, seen through its pidfd: when it ends, and how to end it.
//
// Invariant: `on_exit` runs once, from the loop, when the process has ended (and has been reaped,
// if it is a child of this daemon and not of an earlier one). Destroying the object neither kills
// the shim nor calls back. Loop-only. Owned by a Task.
#ifndef BERTH_SERVER_TASK_SHIM_PROCESS_H_
#define BERTH_SERVER_TASK_SHIM_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth {

class ShimProcess {
 public:
  // `how` says how it ended: "exit status 1", "signal 9", or "ended" for somebody else's child.
  using OnExit = absl::AnyInvocable<void(const std::string& how)>;

  static absl::StatusOr<std::unique_ptr<ShimProcess>> Watch(Loop& loop, pid_t pid, UniqueFd pidfd,
                                                            OnExit on_exit);

  ~ShimProcess() { loop_.Cancel(timer_); }

  pid_t pid() const { return pid_; }
  bool ended() const { return ended_; }
  // SIGKILL, by pidfd. A process that has ended is ignored.
  void Kill();

 private:
  ShimProcess(Loop& loop, pid_t pid, UniqueFd pidfd, OnExit on_exit)
      : loop_(loop), pid_(pid), pidfd_(std::move(pidfd)), on_exit_(std::move(on_exit)) {}
  void OnReadable();

  Loop& loop_;
  const pid_t pid_;
  const UniqueFd pidfd_;
  OnExit on_exit_;
  bool ended_ = false;
  int reap_attempts_ = 0;
  TimerId timer_ = TimerId::kNone;
  FdWatch watch_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_PROCESS_H_
