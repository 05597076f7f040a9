#include "shim/oci/foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/oci/console.h"

namespace berth::oci {

absl::Status AwaitStatus(Loop& loop, absl::FunctionRef<void(launch::Container::Done)> call) {
  absl::optional<absl::Status> result;
  call([&](absl::Status status) { result = std::move(status); });
  while (!result) BERTH_RETURN_IF_ERROR(loop.RunOnce(absl::Seconds(10)));
  return *result;
}

absl::StatusOr<launch::Stdio> InheritedStdio() {
  launch::Stdio stdio;
  UniqueFd* const out[3] = {&stdio.in, &stdio.out, &stdio.err};
  for (int i = 0; i < 3; ++i) {
    if (::fcntl(i, F_GETFD) < 0) continue;  // closed: the container gets /dev/null
    BERTH_ASSIGN_OR_RETURN(*out[i], DupFd(BorrowedFd(i)));
  }
  return stdio;
}

int ListenDescriptors() {
  int count = 0;
  const char* text = ::getenv("LISTEN_FDS");
  return text != nullptr && absl::SimpleAtoi(text, &count) && count > 0 ? count : 0;
}

absl::StatusOr<std::vector<UniqueFd>> PreservedDescriptors(const Options& options, int listening) {
  int count = 0;
  if (options.Has("preserve-fds")) {
    (void)absl::SimpleAtoi(options.Get("preserve-fds"), &count);  // a number: main has looked
  }
  count += listening;
  std::vector<UniqueFd> preserved;
  for (int fd = 3; fd < 3 + count; ++fd) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd copy, DupFd(BorrowedFd(fd)),
                           _ << "--preserve-fds: descriptor " << fd);
    preserved.push_back(std::move(copy));
  }
  return preserved;
}

absl::StatusOr<int> WaitInForeground(Loop& loop, BorrowedFd pidfd, UniqueFd console) {
  std::unique_ptr<ConsolePump> pump;
  if (console.valid()) {
    BERTH_ASSIGN_OR_RETURN(pump, ConsolePump::Start(loop, std::move(console)));
  }
  sigset_t signals;
  ::sigfillset(&signals);
  for (int signal :
       {SIGCHLD, SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPIPE, SIGTTOU}) {
    ::sigdelset(&signals, signal);
  }
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  const UniqueFd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd.valid()) return ErrnoStatus(errno, "signalfd");
  BERTH_ASSIGN_OR_RETURN(FdWatch on_signal, loop.Watch(signal_fd, EPOLLIN, [&](uint32_t) {
    struct signalfd_siginfo info;
    while (::read(signal_fd.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo == SIGWINCH && pump) {
        pump->Resize();
      } else {
        ::syscall(SYS_pidfd_send_signal, pidfd.get(), static_cast<int>(info.ssi_signo), nullptr, 0);
      }
    }
  }));
  bool ended = false;
  BERTH_ASSIGN_OR_RETURN(FdWatch on_end,
                         loop.Watch(pidfd, EPOLLIN, [&](uint32_t) { ended = true; }));
  while (!ended) BERTH_RETURN_IF_ERROR(loop.RunOnce(absl::Hours(1)));
  if (pump) pump->Drain();
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  siginfo_t info = {};
  constexpr idtype_t kPidFd = static_cast<idtype_t>(3);
  if (::waitid(kPidFd, static_cast<id_t>(pidfd.get()), &info, WEXITED) != 0) {
    return ErrnoStatus(errno, "wait for the process");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void PrintWarnings(launch::Container& container) {
  for (const std::string& warning : container.TakeWarnings()) {
    ::fprintf(stderr, "WARN[0000] %s\n", warning.c_str());
  }
}

}  // namespace berth::oci
