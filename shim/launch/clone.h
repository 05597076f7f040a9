// clone3(2), the one place where this program makes copies of itself.
//
// Requires that no other thread allocates or holds a lock: the child goes on in a copy of the
// address space with a consistent heap.
// Thread-hostile. Used by shim/launch, and by shim/service for the writer of a log.
#ifndef BERTH_SHIM_LAUNCH_CLONE_H_
#define BERTH_SHIM_LAUNCH_CLONE_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth::launch {

struct Cloned {
  pid_t pid = 0;   // 0: this is the child
  UniqueFd pidfd;  // of the child, in the parent
};

// A child with `flags` (CLONE_NEW*), placed into v2 directory `cgroup` when that is valid. Errors:
// as clone3(2).
absl::StatusOr<Cloned> CloneChild(uint64_t flags, BorrowedFd cgroup);

// The same, its pid namespace being the one that `target` (a pidfd or a namespace) is in; ours for
// further children is as before. Errors: FAILED_PRECONDITION when the target's process has ended.
absl::StatusOr<Cloned> CloneIntoPidNamespace(BorrowedFd target, uint64_t flags, BorrowedFd cgroup);

// Reaps the child of `pidfd`, which must have ended. Errors: none that matter; absent if not ours.
void Reap(BorrowedFd pidfd);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_CLONE_H_
