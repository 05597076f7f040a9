#include "shim/service/process_watch.h"

#include <sys/wait.h>

#include <cerrno>
#include <utility>

#include "base/status/status_macros.h"

namespace berth::service {
namespace {

constexpr uint32_t kSignalBase = 128;
// For a child that somebody else has reaped: its status is lost.
constexpr uint32_t kUnknownStatus = 255;

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessWatch>> ProcessWatch::Start(Loop& loop, BorrowedFd pidfd,
                                                                  OnExit on_exit) {
  std::unique_ptr<ProcessWatch> watch(new ProcessWatch(pidfd, std::move(on_exit)));
  BERTH_ASSIGN_OR_RETURN(
      watch->watch_, loop.Watch(pidfd, EPOLLIN, [self = watch.get()](uint32_t) { self->Reap(); }));
  return watch;
}

void ProcessWatch::Reap() {
  siginfo_t info = {};
  uint32_t status = kUnknownStatus;
  if (::waitid(P_PIDFD, pidfd_.get(), &info, WEXITED | WNOHANG) == 0) {
    if (info.si_pid == 0) return;  // not yet: the event comes again
    status = info.si_code == CLD_EXITED ? info.si_status : kSignalBase + info.si_status;
  } else if (errno == EINTR) {
    return;
  }
  watch_.Reset();
  OnExit on_exit = std::move(on_exit_);
  on_exit(status);  // may destroy this
}

}  // namespace berth::service
