#include "server/api/tasks_service.h"

#include <utility>

#include "base/grpc/unary.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;

TaskCall ToTaskCall(const CallInfo& call) { return {.ns = call.ns, .deadline = call.deadline}; }

// The common case: the request goes to one method of the manager.
template <typename Request, typename Response>
using Method = void (TaskManager::*)(TaskCall, Request, TaskDone<Response>);

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Pass(grpc::CallbackServerContext* context, const Request* request,
                               Response* response, TaskManager& tasks,
                               Method<Request, Response> method) {
  return UnaryAsync(
      context, request, response,
      [&tasks, method](const CallInfo& call, const Request& request, Done<Response> done) {
        if (const absl::Status named = call.RequireNamespace(); !named.ok()) return done(named);
        (tasks.*method)(ToTaskCall(call), request, std::move(done));
      });
}

// Keeps the note of the call until its answer.
template <typename Response>
TaskDone<Response> Noted(std::shared_ptr<void> note, Done<Response> done) {
  return [note = std::move(note), done = std::move(done)](absl::StatusOr<Response> answer) mutable {
    note.reset();
    done(std::move(answer));
  };
}

// The same as Pass for what may take its time: it is noted until its answer.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* PassNoted(grpc::CallbackServerContext* context, const Request* request,
                                    Response* response, TaskManager& tasks,
                                    Method<Request, Response> method, Operations& operations,
                                    const char* name, CallOrder order) {
  return UnaryAsync(context, request, response,
                    [&tasks, &operations, method, name, order](
                        const CallInfo& call, const Request& request, Done<Response> done) {
                      if (const absl::Status named = call.RequireNamespace(); !named.ok()) {
                        return done(named);
                      }
                      auto note = operations.Begin({.ns = call.ns,
                                                    .container = request.container_id(),
                                                    .call = name,
                                                    .order = order,
                                                    .began = {}});
                      (tasks.*method)(ToTaskCall(call), request,
                                      Noted<Response>(std::move(note), std::move(done)));
                    });
}

}  // namespace

grpc::ServerUnaryReactor* TasksService::Create(Context* context,
                                               const api::CreateTaskRequest* request,
                                               api::CreateTaskResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& call, const api::CreateTaskRequest& request,
             Done<api::CreateTaskResponse> done) {
        if (const absl::Status named = call.RequireNamespace(); !named.ok()) {
          return done(named);
        }
        auto note = operations_->Begin({.ns = call.ns,
                                        .container = request.container_id(),
                                        .call = "Tasks.Create",
                                        .order = CallOrder::kInTurn,
                                        .began = {}});
        tasks_.Create(ToTaskCall(call), request,
                      Noted<api::CreateTaskResponse>(std::move(note), std::move(done)));
        call.OnCancel(
            [this, key = TaskKey{call.ns, request.container_id()}] { tasks_.CancelCreate(key); });
      });
}

grpc::ServerUnaryReactor* TasksService::Wait(Context* context, const api::WaitRequest* request,
                                             api::WaitResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& call, const api::WaitRequest& request, Done<api::WaitResponse> done) {
        if (const absl::Status named = call.RequireNamespace(); !named.ok()) return done(named);
        auto ticket = tasks_.Wait(ToTaskCall(call), request, std::move(done));
        call.OnCancel([this, ticket = std::move(ticket)] { tasks_.CancelWait(ticket); });
      });
}

grpc::ServerUnaryReactor* TasksService::Start(Context* context, const api::StartRequest* request,
                                              api::StartResponse* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Start, *operations_,
                   "Tasks.Start", CallOrder::kInTurn);
}

grpc::ServerUnaryReactor* TasksService::Delete(Context* context,
                                               const api::DeleteTaskRequest* request,
                                               api::DeleteResponse* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Delete, *operations_,
                   "Tasks.Delete", CallOrder::kInTurn);
}

grpc::ServerUnaryReactor* TasksService::DeleteProcess(Context* context,
                                                      const api::DeleteProcessRequest* request,
                                                      api::DeleteResponse* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::DeleteProcess, *operations_,
                   "Tasks.DeleteProcess", CallOrder::kAtOnce);
}

grpc::ServerUnaryReactor* TasksService::Get(Context* context, const api::GetRequest* request,
                                            api::GetResponse* response) {
  return Pass(context, request, response, tasks_, &TaskManager::Get);
}

grpc::ServerUnaryReactor* TasksService::List(Context* context, const api::ListTasksRequest* request,
                                             api::ListTasksResponse* response) {
  return Pass(context, request, response, tasks_, &TaskManager::List);
}

grpc::ServerUnaryReactor* TasksService::Kill(Context* context, const api::KillRequest* request,
                                             Empty* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Kill, *operations_,
                   "Tasks.Kill", CallOrder::kAtOnce);
}

grpc::ServerUnaryReactor* TasksService::Exec(Context* context,
                                             const api::ExecProcessRequest* request,
                                             Empty* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Exec, *operations_,
                   "Tasks.Exec", CallOrder::kAtOnce);
}

grpc::ServerUnaryReactor* TasksService::ResizePty(Context* context,
                                                  const api::ResizePtyRequest* request,
                                                  Empty* response) {
  return Pass(context, request, response, tasks_, &TaskManager::ResizePty);
}

grpc::ServerUnaryReactor* TasksService::CloseIO(Context* context,
                                                const api::CloseIORequest* request,
                                                Empty* response) {
  return Pass(context, request, response, tasks_, &TaskManager::CloseIO);
}

grpc::ServerUnaryReactor* TasksService::Pause(Context* context,
                                              const api::PauseTaskRequest* request,
                                              Empty* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Pause, *operations_,
                   "Tasks.Pause", CallOrder::kInTurn);
}

grpc::ServerUnaryReactor* TasksService::Resume(Context* context,
                                               const api::ResumeTaskRequest* request,
                                               Empty* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Resume, *operations_,
                   "Tasks.Resume", CallOrder::kInTurn);
}

grpc::ServerUnaryReactor* TasksService::ListPids(Context* context,
                                                 const api::ListPidsRequest* request,
                                                 api::ListPidsResponse* response) {
  return Pass(context, request, response, tasks_, &TaskManager::ListPids);
}

grpc::ServerUnaryReactor* TasksService::Checkpoint(Context* context,
                                                   const api::CheckpointTaskRequest* request,
                                                   api::CheckpointTaskResponse* response) {
  return Pass(context, request, response, tasks_, &TaskManager::Checkpoint);
}

grpc::ServerUnaryReactor* TasksService::Update(Context* context,
                                               const api::UpdateTaskRequest* request,
                                               Empty* response) {
  return PassNoted(context, request, response, tasks_, &TaskManager::Update, *operations_,
                   "Tasks.Update", CallOrder::kInTurn);
}

grpc::ServerUnaryReactor* TasksService::Metrics(Context* context,
                                                const api::MetricsRequest* request,
                                                api::MetricsResponse* response) {
  return Pass(context, request, response, tasks_, &TaskManager::Metrics);
}

}  // namespace berth
