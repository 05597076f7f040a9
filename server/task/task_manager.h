// Tasks, as the API's Tasks service offers them: requests in, completions out, no gRPC.
//
// Invariant: each `done` runs exactly once, on the loop's thread or (after Stop) the caller's. No
// call holds a thread while it waits. Calls on different containers never wait for each other; on
// one container Create, Start, Delete, Pause, Resume and Update run one after the other, the rest
// at once. Every call to a shim but Wait has a deadline, so a hung shim stalls its own container
// only. Concurrency: thread-safe, except Adopt. Owned by server/main, which runs `loop` on a thread
// of its own and ends in this order: Stop, executor, loop, then this.
#ifndef BERTH_SERVER_TASK_TASK_MANAGER_H_
#define BERTH_SERVER_TASK_TASK_MANAGER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/loop/loop.h"
#include "google/protobuf/empty.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/events/event_sink.h"
#include "server/task/bundle.h"
#include "server/task/shim_launcher.h"
#include "server/task/shim_supervisor.h"
#include "server/task/task_creator.h"
#include "server/task/task_life.h"
#include "server/task/task_table.h"

namespace berth {

template <typename Response>
using TaskDone = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

// What every call carries besides its request.
struct TaskCall {
  std::string ns;
  absl::Time deadline = absl::InfiniteFuture();
};

class TaskManager {
 public:
  struct Options {
    std::string state;  // STATE
    std::string root;   // ROOT
    TaskCreator::Options creator;
    ShimSupervisor::Options supervisor;
    absl::Duration state_timeout = absl::Seconds(2);   // of one task's state in lists
    absl::Duration call_timeout = absl::Seconds(10);   // kill, pids, stdio, metrics, execs
    absl::Duration change_timeout = absl::Minutes(2);  // start, delete, pause, resume, update
  };

  TaskManager(Loop& loop, Executor& executor, FindContainer find_container,
              const ShimLauncher& launcher, EventSink& events, const Logger& log, Options options);
  ~TaskManager();

  // Takes over the shims of earlier daemons. Requires: the loop does not run yet. Blocks.
  absl::Status Adopt() { return supervisor_.Adopt(); }
  // Answers everybody with UNAVAILABLE and lets the shims go on alone. Requires: the loop runs.
  // Blocks until done.
  void Stop();

  using Empty = google::protobuf::Empty;
  void Create(TaskCall call, containerd::services::tasks::v1::CreateTaskRequest request,
              TaskDone<containerd::services::tasks::v1::CreateTaskResponse> done);
  // The client of a Create is gone: what was made is undone.
  void CancelCreate(TaskKey key);
  void Start(TaskCall call, containerd::services::tasks::v1::StartRequest request,
             TaskDone<containerd::services::tasks::v1::StartResponse> done);
  void Delete(TaskCall call, containerd::services::tasks::v1::DeleteTaskRequest request,
              TaskDone<containerd::services::tasks::v1::DeleteResponse> done);
  void DeleteProcess(TaskCall call, containerd::services::tasks::v1::DeleteProcessRequest request,
                     TaskDone<containerd::services::tasks::v1::DeleteResponse> done);
  void Get(TaskCall call, containerd::services::tasks::v1::GetRequest request,
           TaskDone<containerd::services::tasks::v1::GetResponse> done);
  void List(TaskCall call, containerd::services::tasks::v1::ListTasksRequest request,
            TaskDone<containerd::services::tasks::v1::ListTasksResponse> done);
  void Kill(TaskCall call, containerd::services::tasks::v1::KillRequest request,
            TaskDone<Empty> done);
  void Exec(TaskCall call, containerd::services::tasks::v1::ExecProcessRequest request,
            TaskDone<Empty> done);
  void ResizePty(TaskCall call, containerd::services::tasks::v1::ResizePtyRequest request,
                 TaskDone<Empty> done);
  void CloseIO(TaskCall call, containerd::services::tasks::v1::CloseIORequest request,
               TaskDone<Empty> done);
  void Pause(TaskCall call, containerd::services::tasks::v1::PauseTaskRequest request,
             TaskDone<Empty> done);
  void Resume(TaskCall call, containerd::services::tasks::v1::ResumeTaskRequest request,
              TaskDone<Empty> done);
  void ListPids(TaskCall call, containerd::services::tasks::v1::ListPidsRequest request,
                TaskDone<containerd::services::tasks::v1::ListPidsResponse> done);
  void Checkpoint(TaskCall call, containerd::services::tasks::v1::CheckpointTaskRequest request,
                  TaskDone<containerd::services::tasks::v1::CheckpointTaskResponse> done);
  void Update(TaskCall call, containerd::services::tasks::v1::UpdateTaskRequest request,
              TaskDone<Empty> done);
  void Metrics(TaskCall call, containerd::services::tasks::v1::MetricsRequest request,
               TaskDone<containerd::services::tasks::v1::MetricsResponse> done);

  // Names one Wait, so that it can be given up.
  struct WaitTicket {
    TaskKey key;
    std::string exec_id;
    uint64_t number = 0;
  };
  WaitTicket Wait(TaskCall call, containerd::services::tasks::v1::WaitRequest request,
                  TaskDone<containerd::services::tasks::v1::WaitResponse> done);
  // The waiter is gone; its `done` is dropped.
  void CancelWait(WaitTicket ticket);

  // Restart policies, health checks and attach, which shims see to.
  TaskLife& life() { return life_; }
  // The program that new containers' shims run, as a path for other processes.
  const std::string& shim_program() const { return shim_program_; }
  // Where the time of tasks went.
  const LifeTrace& trace() const { return trace_; }

 private:
  using TaskPtr = std::shared_ptr<Task>;
  // Runs `function(task, done)` on the loop, for a task that exists; answers NOT_FOUND else.
  template <typename Response, typename Function>
  void OnTask(TaskCall call, const std::string& container_id, TaskDone<Response> done,
              Function function);
  // The same for a task whose shim can be asked now.
  template <typename Response, typename Function>
  void OnReadyTask(TaskCall call, const std::string& container_id, TaskDone<Response> done,
                   Function function);
  // The same in the task's turn: function(task, turn, done).
  template <typename Response, typename Function>
  void InTurn(TaskCall call, const std::string& container_id, TaskDone<Response> done,
              Function function);
  // A call that the shim answers and that changes the container's state.
  template <typename ShimRequest>
  void ChangeInTurn(TaskCall call, const std::string& container_id, const char* method,
                    ShimRequest request, TaskDone<Empty> done);
  // A call that the shim answers at once.
  template <typename ShimRequest>
  void PassOn(TaskCall call, const std::string& container_id, const char* method,
              ShimRequest request, TaskDone<Empty> done);
  struct Listing;
  using ListingPtr = std::shared_ptr<Listing>;
  void ListFromJournals(const ListingPtr& listing, std::vector<size_t> places);
  void ListByAsking(const ListingPtr& listing, size_t place);
  // Answers from the task's journal, for a shim that does not.
  void ReadState(const TaskPtr& task,
                 absl::AnyInvocable<void(std::optional<containerd::v1::types::Process>)> done);
  void CallStart(const TaskPtr& task, absl::Time deadline, const std::string& exec_id,
                 OperationQueue::Turn turn, StepClock clock,
                 TaskDone<containerd::services::tasks::v1::StartResponse> done);
  void OnDeleted(const TaskPtr& task, OperationQueue::Turn turn, StepClock clock,
                 containerd::services::tasks::v1::DeleteResponse response,
                 TaskDone<containerd::services::tasks::v1::DeleteResponse> done);
  void OnDeleteFailed(const TaskPtr& task, absl::Status error,
                      TaskDone<containerd::services::tasks::v1::DeleteResponse> done);

  Loop& loop_;
  Executor& executor_;
  const Options options_;
  const BundleStore bundles_;
  TaskTable tasks_;
  LifeTrace trace_;
  const std::string shim_program_;
  ShimSupervisor supervisor_;
  TaskCreator creator_;
  TaskLife life_;
  std::atomic<uint64_t> next_ticket_{1};
  std::atomic<bool> stopped_{false};
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TASK_MANAGER_H_
