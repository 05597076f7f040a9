// One create in progress: from config.json to "created", or to nothing.
//
// Invariant: ends exactly once, from the loop, with OK and a filled ContainerState, or with an
// error after everything that was made is gone again. Loop-only. Owned by the Container while it
// creates.
#ifndef BERTH_SHIM_LAUNCH_CREATION_H_
#define BERTH_SHIM_LAUNCH_CREATION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/cgroup/hierarchy.h"
#include "shim/cgroup/systemd_unit.h"
#include "shim/init/init_main.h"
#include "shim/launch/clone.h"
#include "shim/launch/container_state.h"
#include "shim/launch/hook_runner.h"
#include "shim/launch/report_channel.h"
#include "shim/launch/seccomp_job.h"
#include "shim/launch/status_child.h"
#include "shim/launch/teardown.h"

namespace berth::launch {

class Creation {
 public:
  Creation(Loop& loop, CreateOptions options, ContainerState& state,
           absl::AnyInvocable<void(absl::Status)> done);
  ~Creation();

  void Begin();
  void Cancel();

 private:
  // In the order in which they happen. A failing one ends in Fail.
  absl::Status Prepare();
  absl::Status CheckSupported(const spec::LaunchPlan& plan) const;
  absl::Status PlanInit();
  cgroup::SystemdManager Manager() const;
  absl::Status OpenNamespaces();
  absl::Status MakeIdMaps();
  bool IsInUnified() const;
  absl::Status AnnounceCgroup();
  absl::Status MakeBirthplace();
  enum class Version { kOne, kTwo };
  absl::Status NewCgroup(Version version, cgroup::Cgroup::Occupied occupied);
  absl::Status TryCgroup();
  absl::Status Launch();
  BorrowedFd Birthplace() const;
  absl::StatusOr<Cloned> CloneInit();
  absl::StatusOr<Cloned> CloneAssistant();
  absl::StatusOr<Cloned> CloneRootlessInit();
  absl::Status MapInit();
  absl::Status MakeCgroup(cgroup::Cgroup::Occupied occupied);
  absl::Status StartScope();
  void OnScope(absl::Status status);
  absl::Status EnterGroups();
  absl::Status JoinCgroup();
  absl::Status PlaceInCgroup();
  void RememberForLater();
  void ReleasePlan();

  void OnReport(ReceivedReport& received);
  void OnInitPid(ReceivedReport& received);
  void OnMountsDone();
  void OnReady(ReceivedReport& received);
  void OnChannelEnd();
  void OnSeccomp(absl::Status status);
  void SendJoinWhenReady();
  void AddTimings(const init::Report& report);
  void Note(const char* step);
  void RestartTimer();

  void Fail(absl::Status status);
  void OnChildEnded();
  void AfterChildren();
  void Finish(absl::Status status);

  Loop& loop_;
  CreateOptions options_;
  ContainerState& state_;
  absl::AnyInvocable<void(absl::Status)> done_;

  std::unique_ptr<spec::LaunchPlan> plan_;
  std::unique_ptr<init::InitPlan> init_;
  std::vector<cgroup::Hierarchy> hierarchies_;
  std::vector<UniqueFd> opened_;  // namespaces and user maps that the child inherits
  UniqueFd null_;
  std::vector<spec::Hook> prestart_;
  std::vector<spec::Hook> create_runtime_;
  std::vector<spec::IdMapping> uid_mappings_;
  std::vector<spec::IdMapping> gid_mappings_;
  spec::Resources resources_;
  std::optional<int> oom_score_;
  std::optional<uid_t> delegate_to_;
  std::string seccomp_json_;
  std::string cgroups_path_;
  std::vector<std::string> absent_groups_;   // before the create
  std::vector<UniqueFd> join_files_;         // for init, which moves itself into the group
  std::optional<cgroup::SystemdUnit> unit_;  // with the systemd driver
  bool unified_only_ = false;
  bool may_go_without_cgroup_ = false;
  bool wants_no_limits_ = false;

  SeccompJob seccomp_;
  StatusChild scope_;  // asks systemd
  ReportChannel channel_;
  HookRunner hooks_;
  UniqueFd assistant_;  // pidfd; ends by itself
  FdWatch assistant_watch_;
  FdWatch init_watch_;
  bool init_reaped_ = true;
  bool may_join_ = false;
  bool join_sent_ = false;
  TimerId timer_ = TimerId::kNone;
  absl::Time step_began_;
  absl::Status failure_;
  bool failing_ = false;
  std::unique_ptr<Teardown> teardown_;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_CREATION_H_
