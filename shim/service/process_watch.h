// The end of one child process, seen through its pidfd on the loop.
//
// Invariant: the child is reaped exactly once, here, and reported once; its pid cannot be given to
// another process before. Loop-only. Owned by a LiveTask.
#ifndef BERTH_SHIM_SERVICE_PROCESS_WATCH_H_
#define BERTH_SHIM_SERVICE_PROCESS_WATCH_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::service {

class ProcessWatch {
 public:
  // `status`: the exit code, or 128 + signal. The watch may be destroyed inside.
  using OnExit = absl::AnyInvocable<void(uint32_t status)>;

  // `pidfd` names a child of this process and stays open as long as the watch.
  static absl::StatusOr<std::unique_ptr<ProcessWatch>> Start(Loop& loop, BorrowedFd pidfd,
                                                             OnExit on_exit);

  // Inactive once the child has been reaped.
  const FdWatch& watch() const { return watch_; }

 private:
  explicit ProcessWatch(BorrowedFd pidfd, OnExit on_exit)
      : pidfd_(pidfd), on_exit_(std::move(on_exit)) {}
  void Reap();

  const BorrowedFd pidfd_;
  OnExit on_exit_;
  FdWatch watch_;
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_PROCESS_WATCH_H_
