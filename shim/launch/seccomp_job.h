// The compiled seccomp program of a specification, from the cache or from a short-lived child.
//
// Invariant: the descriptor exists before init is cloned, so that init inherits it; its content is
// complete when `done` says OK (or from the start, when it came from the cache). Loop-only. Owned
// by the Creation.
#ifndef BERTH_SHIM_LAUNCH_SECCOMP_JOB_H_
#define BERTH_SHIM_LAUNCH_SECCOMP_JOB_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/launch/status_child.h"

namespace berth::launch {

class SeccompJob {
 public:
  explicit SeccompJob(Loop& loop) : compiler_(loop, "the seccomp compiler") {}

  // Opens the cached program or an empty memfd. `cache_directory` may be empty.
  absl::Status Open(const std::string& json, const std::string& cache_directory);
  BorrowedFd program() const { return program_; }
  UniqueFd TakeProgram() { return std::move(program_); }
  bool ready() const { return ready_; }
  // Compiles into the memfd, keeps the result in the cache, and calls `done` from the loop.
  // Requires: not ready(). Errors: as CompileSeccomp.
  absl::Status Compile(const std::string& json, absl::AnyInvocable<void(absl::Status)> done);

 private:
  StatusChild compiler_;
  std::string cache_directory_;
  std::string name_;
  UniqueFd program_;
  bool ready_ = false;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_SECCOMP_JOB_H_
