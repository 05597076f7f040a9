#include "shim/launch/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "base/os/fd_factories.h"
#include "base/os/prefault.h"
#include "base/status/check.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace berth::launch {

absl::StatusOr<Cloned> CloneChild(uint64_t flags, BorrowedFd cgroup) {
  int pidfd = -1;
  struct clone_args args = {};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup.valid()) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup.get());
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return ErrnoStatus(errno, "clone3");
  Cloned cloned;
  cloned.pid = static_cast<pid_t>(pid);
  if (pid > 0) {
    cloned.pidfd.Reset(pidfd);
    // Both sides share every page now; we shall write to most of ours.
    UnshareHeapAndStack();
  }
  return cloned;
}

absl::StatusOr<Cloned> CloneIntoPidNamespace(BorrowedFd target, uint64_t flags, BorrowedFd cgroup) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd own, OpenFile("/proc/self/ns/pid", O_RDONLY));
  if (::setns(target.get(), CLONE_NEWPID) != 0) {
    if (errno == ESRCH) {
      return absl::FailedPreconditionError("cannot exec in a stopped container: init has ended");
    }
    return ErrnoStatus(errno, "enter the pid namespace");
  }
  absl::StatusOr<Cloned> cloned = CloneChild(flags, cgroup);
  if (cloned.ok() && cloned->pid == 0) return cloned;
  // From here on every child would be born in the container: that must not outlive this call.
  BERTH_CHECK(::setns(own.get(), CLONE_NEWPID) == 0);
  return cloned;
}

void Reap(BorrowedFd pidfd) {
  siginfo_t info = {};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, WEXITED) <
             0 &&
         errno == EINTR) {
  }
}

}  // namespace berth::launch
