// What is different when an ordinary user makes a container: what is checked first, and what the
// kernel gives a process only while others of its user may look at it.
//
// Thread-hostile (process-wide state). Used by shim/launch only.
#ifndef BERTH_SHIM_LAUNCH_ROOTLESS_H_
#define BERTH_SHIM_LAUNCH_ROOTLESS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "shim/launch/container.h"
#include "shim/spec/launch_plan.h"

namespace berth::launch {

// Errors: INVALID_ARGUMENT with the JSON path, where `plan` asks for what takes root.
absl::Status CheckRootless(const spec::LaunchPlan& plan);

// Whether `status` is the kernel's refusal to somebody without the right.
bool IsDenied(const absl::Status& status);

// While one lives, this process and the children that are born meanwhile are dumpable: without
// that, their files in /proc are root's alone, and nobody else can write a user map.
class DumpableMoment {
 public:
  DumpableMoment();
  ~DumpableMoment();
  DumpableMoment(const DumpableMoment&) = delete;
  DumpableMoment& operator=(const DumpableMoment&) = delete;
};

// While one lives, this process has the OOM score `score`, which its children are born with.
class OomScoreMoment {
 public:
  OomScoreMoment(int score, OomScorePolicy policy, std::vector<std::string>& warnings);
  ~OomScoreMoment();
  OomScoreMoment(const OomScoreMoment&) = delete;
  OomScoreMoment& operator=(const OomScoreMoment&) = delete;

  const absl::Status& status() const { return status_; }

 private:
  std::string before_;
  absl::Status status_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_ROOTLESS_H_
