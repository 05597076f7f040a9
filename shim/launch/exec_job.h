// One exec in progress: from a Process object to a running program, or to nothing.
//
// Invariant: ends exactly once, from the loop. After an error its process is gone and reaped.
// Loop-only. Owned by the Container.
#ifndef BERTH_SHIM_LAUNCH_EXEC_JOB_H_
#define BERTH_SHIM_LAUNCH_EXEC_JOB_H_

#include <memory>
#include <optional>

#include "base/loop/loop.h"
#include "shim/init/exec_main.h"
#include "shim/launch/container_state.h"
#include "shim/launch/report_channel.h"
#include "shim/launch/shared_child.h"

namespace berth::launch {

class ExecJob {
 public:
  ExecJob(Loop& loop, ContainerState& state, ExecOptions options, Container::ExecDone done);
  ~ExecJob();

  void Begin();

 private:
  absl::Status Launch();
  absl::Status Clone();
  // Makes the child share our memory, where that can be; false: nothing happened.
  bool CloneShared();
  // Takes the child over from its maker. Errors: why there is none.
  absl::Status AdoptChild();
  void OnBorn();
  // It has its copies.
  void LetGoOfStdio();
  // Whether the child enters the groups without us: it is born in the v2 one.
  bool MovesItself() const;
  // Whether the child waits until we know its pid.
  bool IsPlacedByPid() const { return oom_score_ || !MovesItself(); }
  absl::Status Place();
  void OnPid(ReceivedReport& received);
  void OnReport(ReceivedReport& received);
  void OnChannelEnd();
  void Fail(absl::Status status);
  void Finish(absl::StatusOr<ExecProcess> result);

  Loop& loop_;
  ContainerState& state_;
  ExecOptions options_;
  // What a child that shares our memory uses until it executes.
  struct Plans {
    spec::ProcessPlan process;
    init::ExecPlan exec;
  };
  std::unique_ptr<Plans> plans_ = std::make_unique<Plans>();
  UniqueFd null_;
  UniqueFd control_;  // the child's end
  std::unique_ptr<SharedChild> shared_child_;
  Container::ExecDone done_;
  ReportChannel channel_;
  ExecProcess process_;
  UniqueFd assistant_;  // without root of the host, until it has made the process
  std::optional<int> oom_score_;
  bool is_in_cgroup_ = false;
  FdWatch watch_;
  TimerId timer_ = TimerId::kNone;
  bool executing_ = false;
  bool failing_ = false;
  absl::Status failure_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_EXEC_JOB_H_
