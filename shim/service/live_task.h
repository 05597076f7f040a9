// One task of this shim: its states, its container, its streams, its journal, and who waits for it.
//
// Every verb is asynchronous on the loop; a `done` runs exactly once, possibly inside the call.
// Kill and the queries never wait for a verb that is running.
// A task may live through several generations of its container, when its restart policy says so.
// Invariant: an exit is in the journal before anybody hears of it. Events are queued before the
// answer they belong to. Loop-only. Owned by TaskService, which drops a task from the loop, never
// from inside its callbacks.
#ifndef BERTH_SHIM_SERVICE_LIVE_TASK_H_
#define BERTH_SHIM_SERVICE_LIVE_TASK_H_

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/journal/journal.h"
#include "base/loop/loop.h"
#include "base/os/process_identity.h"
#include "google/protobuf/message_lite.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "shim/io/attach_hub.h"
#include "shim/io/attach_server.h"
#include "shim/io/process_io.h"
#include "shim/launch/container.h"
#include "shim/service/event_queue.h"
#include "shim/service/health_monitor.h"
#include "shim/service/process_watch.h"
#include "shim/service/runtime_options.h"
#include "shim/service/shim_log.h"
#include "shim/task/restart_rule.h"
#include "shim/task/task.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class HealthState;
class MemberState;
class TaskState;
}  // namespace berth::shim::v1

namespace berth::service {

template <typename T>
using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;
using StatusDone = absl::AnyInvocable<void(absl::Status)>;

// What all tasks of a shim share; outlives them.
struct ShimContext {
  Loop& loop;
  EventQueue& events;
  const ShimLog& log;
  std::string namespace_name;
  std::string seccomp_cache_directory;
  ProcessIdentity self;  // whose journals these are
};

struct CreateSpec {
  std::string id;
  std::string bundle;
  std::vector<launch::RootfsMount> rootfs_mounts;
  task::Stdio stdio;
  RuntimeOptions options;
};

struct Ended {
  pid_t pid = 0;
  uint32_t status = 0;
  absl::Time at = absl::InfinitePast();
};

class LiveTask {
 public:
  LiveTask(ShimContext& context, CreateSpec spec, std::unique_ptr<journal::Writer> journal);
  ~LiveTask();
  LiveTask(const LiveTask&) = delete;
  LiveTask& operator=(const LiveTask&) = delete;

  const task::Task& state() const { return task_; }
  const std::string& bundle() const { return spec_.bundle; }

  // After an error the task is of no use: drop it.
  void Create(Done<pid_t> done);
  void Start(const std::string& exec_id, Done<pid_t> done);
  // `process_json`: an OCI process.
  absl::Status AddExec(const std::string& exec_id, task::Stdio stdio, std::string process_json);
  // During Create any signal cancels it.
  absl::Status Kill(const std::string& exec_id, int signal, launch::KillScope scope);
  // A second delete joins the first. After init's, drop the task.
  void Delete(const std::string& exec_id, Done<Ended> done);
  void Wait(const std::string& exec_id, Done<Ended> done);
  void Pause(StatusDone done);
  void Resume(StatusDone done);
  absl::Status Update(absl::string_view resources_json);
  absl::Status Resize(const std::string& exec_id, uint16_t columns, uint16_t rows);
  absl::Status CloseInput(const std::string& exec_id);
  // Each process of the container, with the exec it is, if any.
  absl::StatusOr<std::vector<std::pair<pid_t, std::string>>> Pids() const;
  absl::StatusOr<launch::StatsAny> Stats() const;

  // What the shim does for the task on its own: docs/formats/shim.md.
  struct Policy {
    task::RestartPolicy restart;
    uint32_t earlier_restarts = 0;
    std::optional<task::Stdio> later_stdio;  // of the next generations
    bool start_if_stopped = false;
    std::optional<HealthCheck> health;
    task::UserStopped user_stopped = task::UserStopped::kNo;
  };
  const Policy& policy() const { return policy_; }
  void SetPolicy(Policy policy);
  void MarkStopped(task::UserStopped user_stopped);
  void FillStatus(berth::shim::v1::GetStatusResponse& status) const;
  void FillSteps(berth::shim::v1::GetStepsResponse& steps) const;

  // For the program that this one becomes, and in it: live_task_handover.cc. Who waits is not among
  // it: their calls are asked again. Errors of Save: UNAVAILABLE while a verb is under way.
  absl::Status Save(handover::Packer& packer, berth::shim::v1::TaskState& state) const;
  static absl::StatusOr<std::unique_ptr<LiveTask>> Resume(ShimContext& context,
                                                          const berth::shim::v1::TaskState& state,
                                                          handover::Unpacker& unpacker);
  // What the daemon's acknowledgement of an event does.
  EventQueue::OnAcknowledged AcknowledgedBy(const EventQueue::Then& then);

 private:
  // One process, init's under the empty id.
  struct Member {
    journal::ProcessRecord record;
    std::string process_json;  // of an exec until it starts
    std::unique_ptr<io::AttachHub> hub;
    std::unique_ptr<io::ProcessIo> io;
    UniqueFd pidfd;  // of an exec; init's is the container's
    std::unique_ptr<ProcessWatch> watch;
    Done<pid_t> start_done;
    std::vector<Done<Ended>> waiters;
    std::vector<Done<Ended>> deleters;
    bool close_input = false;                           // asked for before there was an input
    std::optional<std::pair<uint16_t, uint16_t>> size;  // asked for before there was a terminal
  };

  std::unique_ptr<launch::AnyContainer> MakeContainer() const;
  Member& member(const std::string& exec_id) { return *members_.at(exec_id); }
  std::unique_ptr<io::AttachHub> MakeHub(const task::Stdio& stdio) const;
  std::unique_ptr<io::ProcessIo> MakeIo(const task::Stdio& stdio, io::AttachHub& hub) const;
  absl::StatusOr<io::AttachHub*> FindHub(const std::string& exec_id) const;
  launch::Stdio TakeStdio(io::ProcessIo& io) const;
  // Connects the terminal, if there is one, and applies what clients asked of the streams before
  // they existed.
  absl::Status ConnectIo(Member& member, UniqueFd console);

  void CreateContainer(absl::Status opened);
  void ContainerCreated(absl::Status status);
  absl::Status TakeOverInit();
  absl::Status NoteResources(const std::vector<std::string>& cgroup_paths);
  void AbortCreate(absl::Status reason);
  void FailCreate(absl::Status reason);

  void InitStarted(absl::Status status);
  void StartExec(const std::string& exec_id, absl::Status opened);
  void ExecStarted(const std::string& exec_id, absl::StatusOr<launch::ExecProcess> process);
  absl::Status TakeOverExec(const std::string& exec_id, launch::ExecProcess process);
  void FailStart(const std::string& exec_id, absl::Status reason);

  absl::Status KillContainer(int signal, launch::KillScope scope);
  void OnExit(const std::string& exec_id, uint32_t status);
  void Announce(const std::vector<task::Exit>& exits);
  void AnnounceOne(const task::Exit& exit);

  void BeginCreate();
  void BeginStart();

  // Restarts: live_task_restart.cc.
  void ConsiderRestart(uint32_t status, absl::Duration ran);
  void BeginRestart();
  void TurnOver(absl::Status cleaned);
  void NextGeneration();
  void ForgetExecs();
  void RememberGeneration(const Member& init);
  void OnRestarted(absl::Status status);
  void EndPolicy();
  void HoldNetwork();
  void StartHealth();
  HealthMonitor::Exec HealthExec();
  HealthMonitor::OnChange HealthChanged();
  void PublishDelete(const Ended& ended, EventQueue::OnAcknowledged on_acknowledged,
                     EventQueue::Then then);

  // Handover: live_task_handover.cc.
  absl::Status CheckAtRest() const;
  absl::Status SaveMember(const std::string& exec_id, const task::Task::Saved& process,
                          handover::Packer& packer, berth::shim::v1::MemberState& state) const;
  absl::Status ResumeMember(const berth::shim::v1::MemberState& state,
                            handover::Unpacker& unpacker);
  absl::Status ResumeContainer(const berth::shim::v1::TaskState& state,
                               handover::Unpacker& unpacker);
  absl::Status ResumeProcesses(const berth::shim::v1::TaskState& state,
                               handover::Unpacker& unpacker);
  absl::Status ResumePolicy(const berth::shim::v1::TaskState& state, handover::Unpacker& unpacker);
  void ResumeSteps(const berth::shim::v1::GetStepsResponse& steps);
  absl::Status WatchProcess(const std::string& exec_id, Member& member, BorrowedFd pidfd);
  void OnOom();

  void RunDelete(const std::string& exec_id);
  void DeleteInit();
  void DeleteInitPart(absl::Status status);
  void FinishDelete(const std::string& exec_id, absl::Status status);

  Ended EndOf(const std::string& exec_id) const;
  void WriteRecord(Member& member, journal::Stage stage);
  void RecordFreeze(task::State state);
  void Publish(absl::string_view topic, absl::string_view type,
               const google::protobuf::MessageLite& event,
               EventQueue::Weight weight = EventQueue::Weight::kNormal,
               EventQueue::OnAcknowledged on_acknowledged = nullptr,
               EventQueue::Then then = {EventQueue::Then::Kind::kNothing});
  void PublishCreate();
  // What the container took for the verb that has just ended.
  void KeepSteps(const char* verb);

  ShimContext& context_;
  const CreateSpec spec_;
  task::Task task_;
  std::shared_ptr<journal::Writer> journal_;  // acknowledgements may outlive the task
  std::unique_ptr<launch::AnyContainer> container_;
  task::Stdio stdio_;  // of this generation
  enum class CreatePhase {
    kStreams,
    kContainer,
    kAborting,
    kOver
  } create_phase_ = CreatePhase::kStreams;
  Done<pid_t> create_done_;
  std::map<std::string, std::unique_ptr<Member>> members_;
  std::unique_ptr<io::AttachServer> attach_;
  int delete_parts_ = 0;  // of DeleteInit that still run

  Policy policy_;
  task::RestartRule rule_;
  uint32_t generation_ = 1;
  bool started_ = false;           // this generation was
  bool turning_over_ = false;      // the old generation is being removed for the next
  bool delete_published_ = false;  // of this generation
  bool nothing_made_ = false;      // a restart failed: there is no container to remove
  bool oom_killed_ = false;
  absl::Time started_at_ = absl::InfinitePast();
  absl::Time next_start_ = absl::InfinitePast();
  TimerId restart_timer_ = TimerId::kNone;
  std::optional<Ended> last_end_;
  uint32_t last_end_generation_ = 0;
  std::string last_start_error_;
  UniqueFd network_;  // held for the next generation
  std::deque<uint32_t> remembered_generations_;
  std::unique_ptr<HealthMonitor> health_;
  uint32_t health_generation_ = 0;
  absl::Status delete_status_;
  // The last of each verb, the oldest first.
  struct VerbSteps {
    const char* verb;
    absl::Time ended_at;
    std::vector<launch::StepTime> steps;
  };
  std::vector<VerbSteps> steps_;
  std::list<std::string> step_names_;  // of steps that an earlier program took
  // Callbacks that may outlive the task hold a weak reference.
  std::shared_ptr<LiveTask*> self_ = std::make_shared<LiveTask*>(this);
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_LIVE_TASK_H_
