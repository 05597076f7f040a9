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

namespace berth::launch {

class ExecJob {
 public:
  ExecJob(Loop& loop, ContainerState& state, ExecOptions options, Container::ExecDone done);
  ~ExecJob();

  void Begin();

 private:
  absl::Status Launch();
  absl::Status Clone(init::ExecPlan& plan);
  absl::Status Place();
  void OnPid(ReceivedReport& received);
  void OnReport(ReceivedReport& received);
  void OnChannelEnd();
  void Fail(absl::Status status);
  void Finish(absl::StatusOr<ExecProcess> result);

  Loop& loop_;
  ContainerState& state_;
  ExecOptions options_;
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
