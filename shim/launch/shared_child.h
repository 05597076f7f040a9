// A child that shares our memory until it executes its program.
//
// An ordinary clone copies the page tables, makes both sides fault on every page that they write
// next, and gives the child none of our text: together more than half of an exec's set-up. With
// CLONE_VM and CLONE_VFORK (clone(2)) nothing of that happens, but whoever calls stands still until
// the child has executed or ended. So a helper calls: a process of a few instructions, which shares
// our memory too, has thread-local storage (errno) of its own, and makes the child ours by
// CLONE_PARENT. The loop goes on.
//
// What the child runs must not allocate, take a lock or write what is not its own: it may be killed
// anywhere. docs/adr/0013 says what else follows from sharing.
//
// Invariant: what the child stands on lives until it has left. Loop-only. Owned by an ExecJob.
#ifndef BERTH_SHIM_LAUNCH_SHARED_CHILD_H_
#define BERTH_SHIM_LAUNCH_SHARED_CHILD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "shim/launch/clone.h"

namespace berth::launch {

class SharedChild {
 public:
  struct Options {
    BorrowedFd pid_namespace{-1};    // a pidfd: the child is born in its pid namespace
    BorrowedFd cgroup{-1};           // v2, or invalid
    void (*entry)(void*) = nullptr;  // must not return
    // In the helper, first of all: closes what it and the child do not need. What the helper holds
    // stays open, should we be killed, until the child has left.
    void (*let_go)(void*) = nullptr;
    void* argument = nullptr;  // of both
    BorrowedFd control{-1};    // kept by let_go
  };

  // Begins to make the child. The helper's copy of `control` is closed once the child has left our
  // memory or could not be made; until then all that `argument` points to must live. Descriptors
  // may be closed afterwards. Errors: UNIMPLEMENTED where this build cannot; as clone3(2).
  static absl::StatusOr<std::unique_ptr<SharedChild>> Start(const Options& options);
  // What a child that has not left stands on is never given back.
  ~SharedChild();

  // After the child was heard of, or after `control` was closed: the child. Errors: why it
  // could not be made (FAILED_PRECONDITION: the namespace's processes have ended); UNAVAILABLE:
  // not yet.
  absl::StatusOr<Cloned> Take();
  // False when the child has not left our memory within `patience`.
  bool WaitUntilLeft(absl::Duration patience);

 private:
  struct Ground;
  explicit SharedChild(std::unique_ptr<Ground> ground);

  std::unique_ptr<Ground> ground_;
  UniqueFd helper_;  // until it was reaped
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_SHARED_CHILD_H_
