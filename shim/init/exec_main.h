// What an exec does between clone3 and its program: join the container, become the process.
//
// ExecPlan is made by the parent before the clone and is the child's from then on. Nothing here
// allocates or takes a lock. Thread-hostile: does not return.
#ifndef BERTH_SHIM_INIT_EXEC_MAIN_H_
#define BERTH_SHIM_INIT_EXEC_MAIN_H_

#include <cstdint>

#include "shim/init/process_setup.h"

namespace berth::init {

struct ExecPlan {
  ProcessSetup process;
  int control = -1;
  int init_pidfd = -1;           // whose namespaces to join
  int cgroup = -1;               // into which the child is cloned; of no use to the child
  int namespaces = 0;            // CLONE_NEW* that init does not share with us, without pid
  uint64_t changed_signals = 0;  // of the parent (ChangedSignals)
  bool user_namespace = false;
  bool shares_memory =
      false;  // the child was not given a copy: it says kBorn, and allocates nothing
};

// Closes every other descriptor. For a helper that is to make the child.
void KeepOnlyThePlans(const ExecPlan& plan);

// In the container's pid namespace already.
[[noreturn]] void RunExec(ExecPlan& plan);

// For who is not root of the host, and may enter the pid namespace only from inside of the user
// namespace, and not leave it again: an assistant that joins all of them, clones the process as the
// caller's child, reports its pid and ends. Step by step as RunExec then.
[[noreturn]] void RunExecAssistant(ExecPlan& plan);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_EXEC_MAIN_H_
