// Takes system calls from the calling thread that no job of the worker needs.
//
// A second wall behind Landlock: programs, mounts, namespaces, other processes, kernel modules,
// keys, clocks and io_uring are out of reach of whatever a hostile archive made of the code, and
// so are sockets where there is no network. Thread-hostile: changes the calling thread, and every
// thread that it starts, for good. no_new_privs must be set.
#ifndef BERTH_SERVER_WORKER_SYSCALL_FILTER_H_
#define BERTH_SERVER_WORKER_SYSCALL_FILTER_H_

#include "absl/status/status.h"

namespace berth::worker {

enum class Sockets {
  kForbidden,
  kAccepted,  // from a listener that is open; none are made
  kAllowed,
};

// What is taken fails with EPERM. Errors: those of seccomp(2); OK where the kernel has none.
absl::Status FilterSyscalls(Sockets sockets);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_SYSCALL_FILTER_H_
