#include "shim/init/sibling.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::init {

pid_t CloneSibling(uint64_t flags, int* pidfd) {
  struct clone_args args = {};
  args.flags = flags | CLONE_PARENT | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(pidfd);
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
}

}  // namespace berth::init
