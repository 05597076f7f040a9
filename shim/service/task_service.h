// The ttrpc services containerd.task.v2.Task and containerd.task.v3.Task (the same messages) over
// this shim's table of tasks, of which there is one as a rule.
//
// Invariant: the table changes only from the loop, and a task leaves it only after its Delete or a
// failed Create. The shim ends by itself kLingerAfterLastTask after its last task has gone, and
// kLingerUnused after its start if nobody ever created one. Loop-only. Owned by main; goes before
// the server, whose calls it holds.
#ifndef BERTH_SHIM_SERVICE_TASK_SERVICE_H_
#define BERTH_SHIM_SERVICE_TASK_SERVICE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/journal/journal.h"
#include "base/ttrpc/server.h"
#include "google/protobuf/empty.pb.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "shim/service/live_task.h"
#include "shim/service/supervisor_service.h"

namespace berth::shim::v1 {
class ShimState;
}  // namespace berth::shim::v1

namespace berth::service {

inline constexpr absl::Duration kLingerAfterLastTask = absl::Seconds(2);
inline constexpr absl::Duration kLingerUnused = absl::Minutes(2);

class TaskService {
 public:
  // `on_end` runs once, when the shim should end. `journal` is that of the task `journal_id`, made
  // before the shim served; other tasks get theirs at Create.
  TaskService(ShimContext& context, std::string journal_id,
              std::unique_ptr<journal::Writer> journal, absl::AnyInvocable<void()> on_end);
  ~TaskService();
  TaskService(const TaskService&) = delete;
  TaskService& operator=(const TaskService&) = delete;

  // Errors: NOT_FOUND.
  absl::StatusOr<LiveTask*> Find(const std::string& id) const;

  // For the program that this one becomes, and in it (in the place of the tasks of its own). Errors
  // of Save: FAILED_PRECONDITION without a task; UNAVAILABLE while a verb is under way.
  absl::Status Save(handover::Packer& packer, berth::shim::v1::ShimState& state) const;
  absl::Status Resume(const berth::shim::v1::ShimState& state, handover::Unpacker& unpacker);

  // Registers every method of both services, and berth.shim.v1.Supervisor.
  void Register(ttrpc::Server& server);

 private:
  using Empty = google::protobuf::Empty;

  void Create(containerd::task::v2::CreateTaskRequest request,
              Done<containerd::task::v2::CreateTaskResponse> done);
  void Start(containerd::task::v2::StartRequest request,
             Done<containerd::task::v2::StartResponse> done);
  void Delete(containerd::task::v2::DeleteRequest request,
              Done<containerd::task::v2::DeleteResponse> done);
  void Wait(containerd::task::v2::WaitRequest request,
            Done<containerd::task::v2::WaitResponse> done);
  void Pause(containerd::task::v2::PauseRequest request, Done<Empty> done);
  void Resume(containerd::task::v2::ResumeRequest request, Done<Empty> done);
  absl::StatusOr<containerd::task::v2::StateResponse> State(
      const containerd::task::v2::StateRequest& request);
  absl::StatusOr<containerd::task::v2::PidsResponse> Pids(
      const containerd::task::v2::PidsRequest& request);
  absl::StatusOr<Empty> Kill(const containerd::task::v2::KillRequest& request);
  absl::StatusOr<Empty> Exec(const containerd::task::v2::ExecProcessRequest& request);
  absl::StatusOr<Empty> ResizePty(const containerd::task::v2::ResizePtyRequest& request);
  absl::StatusOr<Empty> CloseIO(const containerd::task::v2::CloseIORequest& request);
  absl::StatusOr<Empty> Checkpoint(const containerd::task::v2::CheckpointTaskRequest& request);
  absl::StatusOr<Empty> Update(const containerd::task::v2::UpdateTaskRequest& request);
  absl::StatusOr<containerd::task::v2::StatsResponse> Stats(
      const containerd::task::v2::StatsRequest& request);
  absl::StatusOr<containerd::task::v2::ConnectResponse> Connect(
      const containerd::task::v2::ConnectRequest& request);
  absl::StatusOr<Empty> Shutdown(const containerd::task::v2::ShutdownRequest& request);

  void RegisterWaiting(ttrpc::Server& server, const std::string& service);
  void RegisterImmediate(ttrpc::Server& server, const std::string& service);
  absl::StatusOr<std::unique_ptr<journal::Writer>> JournalFor(const std::string& id,
                                                              const std::string& bundle);
  void Drop(const std::string& id);
  void EndIn(absl::Duration delay);

  ShimContext& context_;
  const std::string journal_id_;
  std::unique_ptr<journal::Writer> journal_;  // until its task takes it
  absl::AnyInvocable<void()> on_end_;
  TimerId end_timer_ = TimerId::kNone;
  std::map<std::string, std::unique_ptr<LiveTask>> tasks_;
  SupervisorService supervisor_{[this](const std::string& id) { return Find(id); }};
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_TASK_SERVICE_H_
