// How a child gets into the version 1 groups of its container: it moves itself.
//
// Whoever moves another process makes the kernel stop all forks of the host for it, which begins
// with the wait for a grace period of RCU: 10 ms and more. A process that writes 0 into a group's
// file `tasks` moves its own thread and waits for nobody (cgroup_procs_write_start in the kernel's
// kernel/cgroup/cgroup.c); it has only the one. Into a version 2 group a child is born.
//
// Allocates nothing. For a process with one thread, between clone3 and execve.
#ifndef BERTH_SHIM_INIT_CGROUP_JOIN_H_
#define BERTH_SHIM_INIT_CGROUP_JOIN_H_

#include "shim/init/reporter.h"

namespace berth::init {

// Waits for the parent's kJoin and writes to the files that come with it. `proc`: the host's
// procfs, from which an error has the group's name.
void JoinCgroup(Reporter& report, int proc);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_CGROUP_JOIN_H_
