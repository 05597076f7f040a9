#include "server/main/process_setup.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"

namespace berth {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) ::sigaddset(&signals, number);
  return signals;
}

}  // namespace

void SealInheritedDescriptors() {
  constexpr unsigned int kFirst = 3;
  // Fails only on kernels before 5.11, which are too old for the rest as well.
  (void)::close_range(kFirst, ~0u, CLOSE_RANGE_CLOEXEC);
}

absl::StatusOr<struct rlimit> RaiseFileLimit() {
  struct rlimit original;
  if (::getrlimit(RLIMIT_NOFILE, &original) != 0) return ErrnoStatus(errno, "getrlimit");
  struct rlimit raised = original;
  raised.rlim_cur = raised.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) return ErrnoStatus(errno, "setrlimit", "NOFILE");
  return original;
}

absl::Status SetOomScore(int64_t score) {
  return WriteControlFileAt(BorrowedFd(AT_FDCWD), "/proc/self/oom_score_adj", absl::StrCat(score));
}

absl::StatusOr<UniqueFd> TakeSignals() {
  if (::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return ErrnoStatus(errno, "signal", "SIGPIPE");
  const sigset_t signals = StopSignals();
  const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (error != 0) return ErrnoStatus(error, "pthread_sigmask");
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "signalfd");
  return fd;
}

absl::StatusOr<int> NextSignal(BorrowedFd signals) {
  struct signalfd_siginfo info;
  while (true) {
    const ssize_t count = ::read(signals.get(), &info, sizeof(info));
    if (count == sizeof(info)) return static_cast<int>(info.ssi_signo);
    if (count >= 0 || errno != EINTR) return ErrnoStatus(errno, "read", "signalfd");
  }
}

void RestoreSignals() {
  const sigset_t signals = StopSignals();
  (void)::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // fails only for a wrong first argument
}

}  // namespace berth
