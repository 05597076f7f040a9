#include "server/task/shim_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr absl::Duration kReapPause = absl::Milliseconds(5);
constexpr int kMaxReapAttempts = 400;

}  // namespace

absl::StatusOr<std::unique_ptr<ShimProcess>> ShimProcess::Watch(Loop& loop, pid_t pid,
                                                                UniqueFd pidfd, OnExit on_exit) {
  std::unique_ptr<ShimProcess> process(
      new ShimProcess(loop, pid, std::move(pidfd), std::move(on_exit)));
  BERTH_ASSIGN_OR_RETURN(
      process->watch_,
      loop.Watch(process->pidfd_, EPOLLIN, [raw = process.get()](uint32_t) { raw->OnReadable(); }),
      _ << "watch shim " << pid);
  return process;
}

void ShimProcess::Kill() {
  if (!ended_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void ShimProcess::OnReadable() {
  watch_.Reset();
  std::string how = "ended";
  siginfo_t info = {};
  // ECHILD: the shim was started by an earlier daemon, and init reaps it.
  const int waited = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
  if (waited == 0 && info.si_pid == 0 && reap_attempts_++ < kMaxReapAttempts) {
    // A debugger that traces it hears of its end first, and nothing tells when it has.
    timer_ = loop_.After(kReapPause, [this] {
      timer_ = TimerId::kNone;
      OnReadable();
    });
    return;
  }
  ended_ = true;  // not before it is reaped: whoever lets go of an ended one leaves it so
  if (waited == 0 && info.si_pid != 0) {
    how = absl::StrCat(info.si_code == CLD_EXITED ? "exit status " : "signal ", info.si_status);
  }
  OnExit on_exit = std::move(on_exit_);
  on_exit(how);  // may destroy this
}

}  // namespace berth
