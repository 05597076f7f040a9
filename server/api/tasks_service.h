// containerd.services.tasks.v1.Tasks over gRPC: reads the call's headers and passes it to
// TaskManager, which holds no thread while a call waits. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_TASKS_SERVICE_H_
#define BERTH_SERVER_API_TASKS_SERVICE_H_

#include <memory>
#include <utility>

#include "proto/containerd/services/tasks/v1/tasks.grpc.pb.h"
#include "server/api/operations.h"
#include "server/task/task_manager.h"

namespace berth {

class TasksService final : public containerd::services::tasks::v1::Tasks::CallbackService {
 public:
  TasksService(TaskManager& tasks, std::shared_ptr<Operations> operations)
      : tasks_(tasks), operations_(std::move(operations)) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  using Empty = google::protobuf::Empty;

  Reactor* Create(Context* context,
                  const containerd::services::tasks::v1::CreateTaskRequest* request,
                  containerd::services::tasks::v1::CreateTaskResponse* response) override;
  Reactor* Start(Context* context, const containerd::services::tasks::v1::StartRequest* request,
                 containerd::services::tasks::v1::StartResponse* response) override;
  Reactor* Delete(Context* context,
                  const containerd::services::tasks::v1::DeleteTaskRequest* request,
                  containerd::services::tasks::v1::DeleteResponse* response) override;
  Reactor* DeleteProcess(Context* context,
                         const containerd::services::tasks::v1::DeleteProcessRequest* request,
                         containerd::services::tasks::v1::DeleteResponse* response) override;
  Reactor* Get(Context* context, const containerd::services::tasks::v1::GetRequest* request,
               containerd::services::tasks::v1::GetResponse* response) override;
  Reactor* List(Context* context, const containerd::services::tasks::v1::ListTasksRequest* request,
                containerd::services::tasks::v1::ListTasksResponse* response) override;
  Reactor* Kill(Context* context, const containerd::services::tasks::v1::KillRequest* request,
                Empty* response) override;
  Reactor* Exec(Context* context,
                const containerd::services::tasks::v1::ExecProcessRequest* request,
                Empty* response) override;
  Reactor* ResizePty(Context* context,
                     const containerd::services::tasks::v1::ResizePtyRequest* request,
                     Empty* response) override;
  Reactor* CloseIO(Context* context, const containerd::services::tasks::v1::CloseIORequest* request,
                   Empty* response) override;
  Reactor* Pause(Context* context, const containerd::services::tasks::v1::PauseTaskRequest* request,
                 Empty* response) override;
  Reactor* Resume(Context* context,
                  const containerd::services::tasks::v1::ResumeTaskRequest* request,
                  Empty* response) override;
  Reactor* ListPids(Context* context,
                    const containerd::services::tasks::v1::ListPidsRequest* request,
                    containerd::services::tasks::v1::ListPidsResponse* response) override;
  Reactor* Checkpoint(Context* context,
                      const containerd::services::tasks::v1::CheckpointTaskRequest* request,
                      containerd::services::tasks::v1::CheckpointTaskResponse* response) override;
  Reactor* Update(Context* context,
                  const containerd::services::tasks::v1::UpdateTaskRequest* request,
                  Empty* response) override;
  Reactor* Metrics(Context* context, const containerd::services::tasks::v1::MetricsRequest* request,
                   containerd::services::tasks::v1::MetricsResponse* response) override;
  Reactor* Wait(Context* context, const containerd::services::tasks::v1::WaitRequest* request,
                containerd::services::tasks::v1::WaitResponse* response) override;

 private:
  TaskManager& tasks_;
  const std::shared_ptr<Operations> operations_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_TASKS_SERVICE_H_
