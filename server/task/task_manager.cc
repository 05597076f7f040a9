#include "server/task/task_manager.h"

#include <signal.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/filter/filter.h"
#include "server/metadata/identifiers.h"
#include "server/task/gather.h"
#include "server/task/process_proto.h"
#include "server/task/time_proto.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;
namespace shim_api = containerd::task::v2;

constexpr absl::Duration kEndOfLostShim = absl::Seconds(5);

absl::Status StoppingError() { return absl::UnavailableError("the daemon is stopping"); }

absl::Status TaskNotFound(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("task \"", id, "\" not found"));
}

absl::Status ValidateExecId(const std::string& exec_id) {
  if (exec_id.empty()) return absl::InvalidArgumentError("exec id must not be empty");
  BERTH_RETURN_IF_ERROR(metadata::ValidateIdentifier(exec_id)) << "exec id";
  return absl::OkStatus();
}

// What is left of the caller's time, at most `limit`; a call that came too late still gets an
// answer from the shim's side of the socket, and that is DEADLINE_EXCEEDED.
absl::Duration TimeLeft(absl::Time deadline, absl::Duration limit) {
  return std::clamp(deadline - absl::Now(), absl::Milliseconds(1), limit);
}

template <typename Message>
TaskDone<Message> IgnoringAnswer(TaskDone<google::protobuf::Empty> done) {
  return [done = std::move(done)](absl::StatusOr<Message> answer) mutable {
    if (!answer.ok()) return done(answer.status());
    done(google::protobuf::Empty());
  };
}

}  // namespace

TaskManager::TaskManager(Loop& loop, Executor& executor, FindContainer find_container,
                         const ShimLauncher& launcher, EventSink& events, const Logger& log,
                         Options options)
    : loop_(loop),
      executor_(executor),
      options_(std::move(options)),
      bundles_(options_.state, options_.root),
      shim_program_(launcher.binary().executable_for_others()),
      supervisor_(loop, executor, tasks_, bundles_, launcher, events, log, options_.supervisor),
      creator_(loop, executor, tasks_, bundles_, launcher, supervisor_, std::move(find_container),
               trace_, options_.creator),
      life_(loop, tasks_) {}

TaskManager::~TaskManager() = default;

void TaskManager::Stop() {
  if (stopped_.exchange(true)) return;
  Notification released;
  loop_.Post([this, &released] {
    supervisor_.Stop();
    creator_.Stop();
    for (const TaskPtr& task : tasks_.All()) task->Release(StoppingError());
    released.Notify();
  });
  released.WaitForNotification();
}

template <typename Response, typename Function>
void TaskManager::OnTask(TaskCall call, const std::string& container_id, TaskDone<Response> done,
                         Function function) {
  if (stopped_.load()) return done(StoppingError());
  if (const absl::Status valid = metadata::ValidateIdentifier(container_id); !valid.ok()) {
    return done(Annotate(valid, "container id"));
  }
  loop_.Post([this, key = TaskKey{std::move(call.ns), container_id}, done = std::move(done),
              function = std::move(function)]() mutable {
    if (stopped_.load()) return done(StoppingError());
    const TaskPtr task = tasks_.Find(key);
    if (task == nullptr) return done(TaskNotFound(key.id));
    function(task, std::move(done));
  });
}

template <typename Response, typename Function>
void TaskManager::OnReadyTask(TaskCall call, const std::string& container_id,
                              TaskDone<Response> done, Function function) {
  OnTask<Response>(
      std::move(call), container_id, std::move(done),
      [function = std::move(function)](const TaskPtr& task, TaskDone<Response> done) mutable {
        if (const absl::Status ready = task->CheckReady(); !ready.ok()) return done(ready);
        function(task, std::move(done));
      });
}

template <typename Response, typename Function>
void TaskManager::InTurn(TaskCall call, const std::string& container_id, TaskDone<Response> done,
                         Function function) {
  const absl::Time deadline = call.deadline;
  OnTask<Response>(std::move(call), container_id, std::move(done),
                   [deadline, function = std::move(function)](const TaskPtr& task,
                                                              TaskDone<Response> done) mutable {
                     if (task->stage() == TaskStage::kDeleting) return done(task->CheckReady());
                     // Shared, so that it can still be answered if the queue is full.
                     auto answer = std::make_shared<TaskDone<Response>>(std::move(done));
                     const absl::Status queued = task->queue().Push(
                         [task, deadline, answer, function = std::move(function)](
                             absl::StatusOr<OperationQueue::Turn> turn) mutable {
                           if (!turn.ok()) return (*answer)(turn.status());
                           if (absl::Now() >= deadline) {
                             return (*answer)(absl::DeadlineExceededError(absl::StrCat(
                                 "the call waited for other calls on task \"", task->key().id,
                                 "\" until its deadline; nothing was done")));
                           }
                           if (const absl::Status ready = task->CheckReady(); !ready.ok()) {
                             return (*answer)(ready);
                           }
                           function(task, *std::move(turn), std::move(*answer));
                         });
                     if (!queued.ok()) (*answer)(queued);
                   });
}

template <typename ShimRequest>
void TaskManager::ChangeInTurn(TaskCall call, const std::string& container_id, const char* method,
                               ShimRequest request, TaskDone<Empty> done) {
  const absl::Time deadline = call.deadline;
  InTurn<Empty>(std::move(call), container_id, std::move(done),
                [this, deadline, method, request = std::move(request)](
                    const TaskPtr& task, OperationQueue::Turn turn, TaskDone<Empty> done) {
                  task->CallShim<Empty>(
                      method, request, TimeLeft(deadline, options_.change_timeout),
                      [turn = std::move(turn), done = std::move(done)](
                          absl::StatusOr<Empty> answer) mutable { done(std::move(answer)); });
                });
}

template <typename ShimRequest>
void TaskManager::PassOn(TaskCall call, const std::string& container_id, const char* method,
                         ShimRequest request, TaskDone<Empty> done) {
  const absl::Time deadline = call.deadline;
  OnReadyTask<Empty>(std::move(call), container_id, std::move(done),
                     [this, deadline, method, request = std::move(request)](const TaskPtr& task,
                                                                            TaskDone<Empty> done) {
                       task->CallShim<Empty>(method, request,
                                             TimeLeft(deadline, options_.call_timeout),
                                             std::move(done));
                     });
}

void TaskManager::Create(TaskCall call, api::CreateTaskRequest request,
                         TaskDone<api::CreateTaskResponse> done) {
  if (stopped_.load()) return done(StoppingError());
  if (const absl::Status valid = metadata::ValidateIdentifier(request.container_id());
      !valid.ok()) {
    return done(Annotate(valid, "container id"));
  }
  loop_.Post([this, call = std::move(call), request = std::move(request),
              done = std::move(done)]() mutable {
    TaskKey key{std::move(call.ns), request.container_id()};
    creator_.Create(key, std::move(request), call.deadline, std::move(done));
  });
}

void TaskManager::CancelCreate(TaskKey key) {
  loop_.Post([this, key = std::move(key)] {
    if (stopped_.load()) return;
    if (const TaskPtr task = tasks_.Find(key)) creator_.Cancel(task);
  });
}

void TaskManager::Start(TaskCall call, api::StartRequest request,
                        TaskDone<api::StartResponse> done) {
  const absl::Time deadline = call.deadline;
  const std::string container_id = request.container_id();
  StepClock clock(trace_, {call.ns, container_id}, "Tasks.Start");
  auto call_shim = [this, deadline, exec_id = request.exec_id(), clock = std::move(clock)](
                       const TaskPtr& task, OperationQueue::Turn turn,
                       TaskDone<api::StartResponse> done) mutable {
    clock.Ended("wait for its turn");
    CallStart(task, deadline, exec_id, std::move(turn), std::move(clock), std::move(done));
  };
  if (request.exec_id().empty()) {
    return InTurn<api::StartResponse>(std::move(call), container_id, std::move(done),
                                      std::move(call_shim));
  }
  // An exec does not wait for its container's changes.
  OnReadyTask<api::StartResponse>(
      std::move(call), container_id, std::move(done),
      [call_shim = std::move(call_shim)](const TaskPtr& task,
                                         TaskDone<api::StartResponse> done) mutable {
        call_shim(task, OperationQueue::Turn(), std::move(done));
      });
}

void TaskManager::CallStart(const TaskPtr& task, absl::Time deadline, const std::string& exec_id,
                            OperationQueue::Turn turn, StepClock clock,
                            TaskDone<api::StartResponse> done) {
  shim_api::StartRequest start;
  start.set_id(task->key().id);
  start.set_exec_id(exec_id);
  task->CallShim<shim_api::StartResponse>(
      "Start", start, TimeLeft(deadline, options_.change_timeout),
      [this, task, deadline, is_init = exec_id.empty(), turn = std::move(turn),
       clock = std::move(clock),
       done = std::move(done)](absl::StatusOr<shim_api::StartResponse> answer) mutable {
        clock.Ended(is_init ? "shim: Start" : "shim: Start of an exec");
        const auto respond = [&done](uint32_t pid) {
          api::StartResponse response;
          response.set_pid(pid);
          done(std::move(response));
        };
        if (is_init && absl::IsDeadlineExceeded(answer.status())) task->set_start_unanswered(true);
        const bool retried =
            is_init && absl::IsFailedPrecondition(answer.status()) && task->start_unanswered();
        if (answer.ok()) {
          task->set_start_unanswered(false);
          return respond(answer->pid());
        }
        if (!retried) return done(answer.status());
        // The start that got no answer in time has succeeded since: this call gets its result.
        shim_api::StateRequest request;
        request.set_id(task->key().id);
        task->CallShim<shim_api::StateResponse>(
            "State", request, TimeLeft(deadline, options_.call_timeout),
            [task, refused = answer.status(), turn = std::move(turn),
             done = std::move(done)](absl::StatusOr<shim_api::StateResponse> state) mutable {
              if (!state.ok() || state->status() != containerd::v1::types::RUNNING) {
                return done(refused);
              }
              task->set_start_unanswered(false);
              api::StartResponse response;
              response.set_pid(state->pid());
              done(std::move(response));
            });
      });
}

void TaskManager::Delete(TaskCall call, api::DeleteTaskRequest request,
                         TaskDone<api::DeleteResponse> done) {
  const absl::Time deadline = call.deadline;
  StepClock clock(trace_, {call.ns, request.container_id()}, "Tasks.Delete");
  InTurn<api::DeleteResponse>(
      std::move(call), request.container_id(), std::move(done),
      [this, deadline, clock = std::move(clock)](const TaskPtr& task, OperationQueue::Turn turn,
                                                 TaskDone<api::DeleteResponse> done) mutable {
        clock.Ended("wait for its turn");
        shim_api::DeleteRequest request;
        request.set_id(task->key().id);
        task->CallShim<shim_api::DeleteResponse>(
            "Delete", request, TimeLeft(deadline, options_.change_timeout),
            [this, task, turn = std::move(turn), clock = std::move(clock),
             done = std::move(done)](absl::StatusOr<shim_api::DeleteResponse> answer) mutable {
              clock.Ended("shim: Delete");
              if (!answer.ok()) return OnDeleteFailed(task, answer.status(), std::move(done));
              api::DeleteResponse response;
              response.set_id(task->key().id);
              response.set_pid(answer->pid());
              response.set_exit_status(answer->exit_status());
              *response.mutable_exited_at() = answer->exited_at();
              OnDeleted(task, std::move(turn), std::move(clock), std::move(response),
                        std::move(done));
            });
      });
}

void TaskManager::OnDeleted(const TaskPtr& task, OperationQueue::Turn turn, StepClock clock,
                            api::DeleteResponse response, TaskDone<api::DeleteResponse> done) {
  if (stopped_.load()) return done(StoppingError());
  // Container, root and groups are gone. The end of our shim and its bundle are nobody's business:
  // the task is in no list any more, and a Create of the same id waits for them. What another shim
  // still has to do is not known, and its client waits.
  auto removed = [clock = std::move(clock), turn = std::move(turn)]() mutable {
    clock.Ended("end of the shim, removal of the bundle");
  };
  if (!task->foreign_binary().empty()) {
    auto reply = [removed = std::move(removed), response = std::move(response),
                  done = std::move(done)]() mutable {
      removed();
      done(std::move(response));
    };
    if (task->stage() != TaskStage::kReady) return supervisor_.WhenRemoved(task, std::move(reply));
    return supervisor_.Finish(task, ShimSupervisor::Ending::kShutdown, std::move(reply));
  }
  if (task->stage() == TaskStage::kReady) {
    supervisor_.Finish(task, ShimSupervisor::Ending::kShutdown, std::move(removed));
  }
  done(std::move(response));
}

void TaskManager::OnDeleteFailed(const TaskPtr& task, absl::Status error,
                                 TaskDone<api::DeleteResponse> done) {
  if (stopped_.load()) return done(StoppingError());
  // An earlier Delete, whose client did not wait for its answer, has done the work: the shim is
  // about to end.
  const bool deleted_before = absl::IsNotFound(error) && task->foreign_binary().empty() &&
                              task->stage() == TaskStage::kReady;
  if (!absl::IsUnavailable(error) && !deleted_before) return done(std::move(error));
  // The shim was lost under the call, or is done. Its end is about to be noticed, and then is the
  // answer.
  auto waiting = std::make_shared<TaskDone<api::DeleteResponse>>(std::move(done));
  task->WhenEnded([task, waiting](const TaskEnd* end) {
    auto done = std::exchange(*waiting, nullptr);
    if (!done) return;
    if (end == nullptr || !end->existed) return done(TaskNotFound(task->key().id));
    api::DeleteResponse response;
    response.set_id(task->key().id);
    response.set_pid(end->init.pid);
    response.set_exit_status(end->init.status);
    *response.mutable_exited_at() = ToTimestamp(end->init.at);
    done(std::move(response));
  });
  loop_.After(kEndOfLostShim, [waiting, error = std::move(error)] {
    if (auto done = std::exchange(*waiting, nullptr)) done(error);
  });
}

void TaskManager::DeleteProcess(TaskCall call, api::DeleteProcessRequest request,
                                TaskDone<api::DeleteResponse> done) {
  if (const absl::Status valid = ValidateExecId(request.exec_id()); !valid.ok()) {
    return done(valid);
  }
  const absl::Time deadline = call.deadline;
  OnReadyTask<api::DeleteResponse>(
      std::move(call), request.container_id(), std::move(done),
      [this, deadline, exec_id = request.exec_id()](const TaskPtr& task,
                                                    TaskDone<api::DeleteResponse> done) {
        shim_api::DeleteRequest request;
        request.set_id(task->key().id);
        request.set_exec_id(exec_id);
        // Its output may have to be drained first.
        task->CallShim<shim_api::DeleteResponse>(
            "Delete", request, TimeLeft(deadline, options_.change_timeout),
            [exec_id,
             done = std::move(done)](absl::StatusOr<shim_api::DeleteResponse> answer) mutable {
              if (!answer.ok()) return done(answer.status());
              api::DeleteResponse response;
              response.set_id(exec_id);
              response.set_pid(answer->pid());
              response.set_exit_status(answer->exit_status());
              *response.mutable_exited_at() = answer->exited_at();
              done(std::move(response));
            });
      });
}

void TaskManager::Get(TaskCall call, api::GetRequest request, TaskDone<api::GetResponse> done) {
  const absl::Time deadline = call.deadline;
  OnReadyTask<api::GetResponse>(
      std::move(call), request.container_id(), std::move(done),
      [this, deadline, exec_id = request.exec_id()](const TaskPtr& task,
                                                    TaskDone<api::GetResponse> done) {
        shim_api::StateRequest request;
        request.set_id(task->key().id);
        request.set_exec_id(exec_id);
        task->CallShim<shim_api::StateResponse>(
            "State", request, TimeLeft(deadline, options_.call_timeout),
            [done = std::move(done)](absl::StatusOr<shim_api::StateResponse> state) mutable {
              if (!state.ok()) return done(state.status());
              api::GetResponse response;
              *response.mutable_process() = ToProcess(*state);
              done(std::move(response));
            });
      });
}

void TaskManager::Kill(TaskCall call, api::KillRequest request, TaskDone<Empty> done) {
  const absl::Time deadline = call.deadline;
  OnTask<Empty>(std::move(call), request.container_id(), std::move(done),
                [this, deadline, request](const TaskPtr& task, TaskDone<Empty> done) {
                  if (task->stage() == TaskStage::kCreating && request.exec_id().empty() &&
                      (request.signal() == SIGKILL || request.signal() == SIGTERM)) {
                    creator_.Cancel(task);
                    return done(Empty());
                  }
                  if (const absl::Status ready = task->CheckReady(); !ready.ok())
                    return done(ready);
                  shim_api::KillRequest kill;
                  kill.set_id(task->key().id);
                  kill.set_exec_id(request.exec_id());
                  kill.set_signal(request.signal());
                  kill.set_all(request.all());
                  task->CallShim<Empty>("Kill", kill, TimeLeft(deadline, options_.call_timeout),
                                        std::move(done));
                });
}

void TaskManager::Exec(TaskCall call, api::ExecProcessRequest request, TaskDone<Empty> done) {
  if (const absl::Status valid = ValidateExecId(request.exec_id()); !valid.ok()) {
    return done(valid);
  }
  shim_api::ExecProcessRequest exec;
  exec.set_id(request.container_id());
  exec.set_exec_id(request.exec_id());
  exec.set_terminal(request.terminal());
  exec.set_stdin(request.stdin());
  exec.set_stdout(request.stdout());
  exec.set_stderr(request.stderr());
  *exec.mutable_spec() = request.spec();
  PassOn(std::move(call), request.container_id(), "Exec", std::move(exec), std::move(done));
}

void TaskManager::ResizePty(TaskCall call, api::ResizePtyRequest request, TaskDone<Empty> done) {
  shim_api::ResizePtyRequest resize;
  resize.set_id(request.container_id());
  resize.set_exec_id(request.exec_id());
  resize.set_width(request.width());
  resize.set_height(request.height());
  PassOn(std::move(call), request.container_id(), "ResizePty", std::move(resize), std::move(done));
}

void TaskManager::CloseIO(TaskCall call, api::CloseIORequest request, TaskDone<Empty> done) {
  shim_api::CloseIORequest close;
  close.set_id(request.container_id());
  close.set_exec_id(request.exec_id());
  close.set_stdin(request.stdin());
  PassOn(std::move(call), request.container_id(), "CloseIO", std::move(close), std::move(done));
}

void TaskManager::Pause(TaskCall call, api::PauseTaskRequest request, TaskDone<Empty> done) {
  shim_api::PauseRequest pause;
  pause.set_id(request.container_id());
  ChangeInTurn(std::move(call), request.container_id(), "Pause", std::move(pause), std::move(done));
}

void TaskManager::Resume(TaskCall call, api::ResumeTaskRequest request, TaskDone<Empty> done) {
  shim_api::ResumeRequest resume;
  resume.set_id(request.container_id());
  ChangeInTurn(std::move(call), request.container_id(), "Resume", std::move(resume),
               std::move(done));
}

void TaskManager::ListPids(TaskCall call, api::ListPidsRequest request,
                           TaskDone<api::ListPidsResponse> done) {
  const absl::Time deadline = call.deadline;
  OnReadyTask<api::ListPidsResponse>(
      std::move(call), request.container_id(), std::move(done),
      [this, deadline](const TaskPtr& task, TaskDone<api::ListPidsResponse> done) {
        shim_api::PidsRequest request;
        request.set_id(task->key().id);
        task->CallShim<shim_api::PidsResponse>(
            "Pids", request, TimeLeft(deadline, options_.call_timeout),
            [done = std::move(done)](absl::StatusOr<shim_api::PidsResponse> answer) mutable {
              if (!answer.ok()) return done(answer.status());
              api::ListPidsResponse response;
              *response.mutable_processes() = std::move(*answer->mutable_processes());
              done(std::move(response));
            });
      });
}

void TaskManager::Checkpoint(TaskCall call, api::CheckpointTaskRequest request,
                             TaskDone<api::CheckpointTaskResponse> done) {
  OnTask<api::CheckpointTaskResponse>(
      std::move(call), request.container_id(), std::move(done),
      [](const TaskPtr&, TaskDone<api::CheckpointTaskResponse> done) {
        done(absl::UnimplementedError("checkpoints of tasks are not supported"));
      });
}

void TaskManager::Update(TaskCall call, api::UpdateTaskRequest request, TaskDone<Empty> done) {
  shim_api::UpdateTaskRequest update;
  update.set_id(request.container_id());
  if (request.has_resources()) *update.mutable_resources() = request.resources();
  *update.mutable_annotations() = request.annotations();
  ChangeInTurn(std::move(call), request.container_id(), "Update", std::move(update),
               std::move(done));
}

void TaskManager::Metrics(TaskCall call, api::MetricsRequest request,
                          TaskDone<api::MetricsResponse> done) {
  if (stopped_.load()) return done(StoppingError());
  const std::vector<std::string> expressions(request.filters().begin(), request.filters().end());
  absl::StatusOr<Filter> filter = Filter::Compile(expressions);
  if (!filter.ok()) return done(filter.status());
  loop_.Post([this, call = std::move(call), filter = *std::move(filter),
              done = std::move(done)]() mutable {
    using Metric = containerd::types::Metric;
    std::vector<TaskPtr> tasks;
    for (const TaskPtr& task : tasks_.InNamespace(call.ns)) {
      const auto field =
          [&task](const std::vector<std::string>& path) -> std::optional<std::string> {
        if (path.size() != 1) return std::nullopt;
        if (path[0] == "id") return task->key().id;
        if (path[0] == "namespace") return task->key().ns;
        return std::nullopt;
      };
      if (task->stage() == TaskStage::kReady && filter.Matches(field)) tasks.push_back(task);
    }
    auto gather = Gather<Metric>::Create(
        tasks.size(), [done = std::move(done)](std::vector<std::optional<Metric>> found) mutable {
          api::MetricsResponse response;
          for (auto& metric : found) {
            if (metric.has_value()) *response.add_metrics() = *std::move(metric);
          }
          done(std::move(response));
        });
    for (size_t i = 0; i < tasks.size(); ++i) {
      shim_api::StatsRequest request;
      request.set_id(tasks[i]->key().id);
      tasks[i]->CallShim<shim_api::StatsResponse>(
          "Stats", request, TimeLeft(call.deadline, options_.call_timeout),
          [gather, i, id = tasks[i]->key().id](absl::StatusOr<shim_api::StatsResponse> stats) {
            // A container that has just ended has no numbers, which is no failure of the list.
            if (!stats.ok()) return gather->Put(i, std::nullopt);
            Metric metric;
            *metric.mutable_timestamp() = ToTimestamp(absl::Now());
            metric.set_id(id);
            *metric.mutable_data() = std::move(*stats->mutable_stats());
            gather->Put(i, std::move(metric));
          });
    }
  });
}

TaskManager::WaitTicket TaskManager::Wait(TaskCall call, api::WaitRequest request,
                                          TaskDone<api::WaitResponse> done) {
  WaitTicket ticket{
      {call.ns, request.container_id()}, request.exec_id(), next_ticket_.fetch_add(1)};
  OnReadyTask<api::WaitResponse>(std::move(call), request.container_id(), std::move(done),
                                 [exec_id = request.exec_id(), number = ticket.number](
                                     const TaskPtr& task, TaskDone<api::WaitResponse> done) {
                                   task->Wait(exec_id, number, std::move(done));
                                 });
  return ticket;
}

void TaskManager::CancelWait(WaitTicket ticket) {
  loop_.Post([this, ticket = std::move(ticket)] {
    if (const TaskPtr task = tasks_.Find(ticket.key)) {
      task->CancelWait(ticket.exec_id, ticket.number);
    }
  });
}

}  // namespace berth
