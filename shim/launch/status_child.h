// A short-lived child that does what may block or takes memory, and says how it ended.
//
// It blocks in our place, its heap goes with it, and it is no member of the container's cgroup.
// Invariant: the child is gone when `done` runs or the object is destroyed, whichever comes first.
// Loop-only. Owned by whoever needs the work.
#ifndef BERTH_SHIM_LAUNCH_STATUS_CHILD_H_
#define BERTH_SHIM_LAUNCH_STATUS_CHILD_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::launch {

class StatusChild {
 public:
  // `name` stands in the error of a child that ended without a word.
  StatusChild(Loop& loop, absl::string_view name) : loop_(loop), name_(name) {}
  ~StatusChild();

  // Runs `work` in the child, whose status `done` gets, from the loop. Requires: not running.
  absl::Status Start(absl::FunctionRef<absl::Status()> work,
                     absl::AnyInvocable<void(absl::Status)> done);

 private:
  void OnEnded();

  Loop& loop_;
  const std::string name_;
  UniqueFd child_;
  FdWatch watch_;
  UniqueFd errors_;
  absl::AnyInvocable<void(absl::Status)> done_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_STATUS_CHILD_H_
