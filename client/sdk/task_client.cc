#include "client/sdk/task_client.h"

#include <poll.h>

#include <atomic>

#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/timestamps.h"
#include "client/sdk/unary.h"

namespace berth::client {
namespace {

namespace api = containerd::services::tasks::v1;

// Calls that a user at a terminal waits for; the server answers them without queueing.
constexpr absl::Duration kSessionCallTimeout = absl::Seconds(20);

// Runs one Wait call on gRPC's callback threads and starts it again when the daemon went away.
// Shared with the callback, which may outlive the owner by the moment a cancel needs.
class WaitState : public std::enable_shared_from_this<WaitState> {
 public:
  WaitState(Connection connection, ProcessId process, Pipe pipe)
      : connection_(std::move(connection)), process_(std::move(process)), pipe_(std::move(pipe)) {}

  void Send() {
    auto call = std::make_shared<Call>();
    connection_.Prepare(call->context, absl::InfiniteDuration());
    // After an outage the channel may still be in its back-off: queue instead of failing at once.
    call->context.set_wait_for_ready(is_resumed_);
    call->request.set_container_id(process_.container_id);
    call->request.set_exec_id(process_.exec_id);
    {
      MutexLock lock(&mutex_);
      if (cancelled_) return;
      call_ = call;
    }
    connection_.stubs().tasks->async()->Wait(
        &call->context, &call->request, &call->response,
        [self = shared_from_this(), call](const grpc::Status& status) {
          self->Done(*call, status);
        });
  }

  void Cancel() {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    if (call_ != nullptr) call_->context.TryCancel();
  }

  BorrowedFd ready() const { return pipe_.read; }

  absl::StatusOr<ExitResult> Result() {
    MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::optional<absl::StatusOr<ExitResult>>* result) { return result->has_value(); },
        &result_));
    return *result_;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    api::WaitRequest request;
    api::WaitResponse response;
  };

  void Done(const Call& call, const grpc::Status& status) {
    {
      MutexLock lock(&mutex_);
      call_ = nullptr;
      is_resumed_ = status.error_code() == grpc::StatusCode::UNAVAILABLE && !cancelled_;
      if (status.ok()) {
        result_ = ExitResult{static_cast<int>(call.response.exit_status()),
                             FromProto(call.response.exited_at())};
      } else if (!is_resumed_) {
        result_ = connection_.ToStatus(status);
      }
    }
    if (is_resumed_) {
      Send();
      return;
    }
    // The read end lives as long as this object, so that the byte cannot raise SIGPIPE.
    WriteAll(pipe_.write, "x").IgnoreError();
  }

  const Connection connection_;
  const ProcessId process_;
  const Pipe pipe_;
  // Touched by one callback at a time: a new call starts only when the last one is done.
  bool is_resumed_ = false;
  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<ExitResult>> result_ ABSL_GUARDED_BY(mutex_);
};

class GrpcPendingWait final : public PendingWait {
 public:
  explicit GrpcPendingWait(std::shared_ptr<WaitState> state) : state_(std::move(state)) {}
  ~GrpcPendingWait() override { state_->Cancel(); }

  BorrowedFd ready() const override { return state_->ready(); }
  absl::StatusOr<ExitResult> Result() override { return state_->Result(); }

 private:
  const std::shared_ptr<WaitState> state_;
};

}  // namespace

absl::StatusOr<uint32_t> TaskClient::Create(const api::CreateTaskRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(
      const api::CreateTaskResponse response,
      Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Create, request));
  return response.pid();
}

absl::StatusOr<uint32_t> TaskClient::Start(const ProcessId& process) const {
  api::StartRequest request;
  request.set_container_id(process.container_id);
  request.set_exec_id(process.exec_id);
  BERTH_ASSIGN_OR_RETURN(
      const api::StartResponse response,
      Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Start, request));
  return response.pid();
}

absl::Status TaskClient::Exec(const api::ExecProcessRequest& request) const {
  return Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Exec, request).status();
}

absl::Status TaskClient::Kill(const ProcessId& process, int signal, KillScope scope) const {
  api::KillRequest request;
  request.set_container_id(process.container_id);
  request.set_exec_id(process.exec_id);
  request.set_signal(static_cast<uint32_t>(signal));
  request.set_all(scope == KillScope::kAllProcesses);
  return Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Kill, request,
               kSessionCallTimeout)
      .status();
}

absl::StatusOr<ExitResult> TaskClient::Delete(const ProcessId& process) const {
  absl::StatusOr<api::DeleteResponse> response;
  if (process.exec_id.empty()) {
    api::DeleteTaskRequest request;
    request.set_container_id(process.container_id);
    response = Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Delete, request);
  } else {
    api::DeleteProcessRequest request;
    request.set_container_id(process.container_id);
    request.set_exec_id(process.exec_id);
    response =
        Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::DeleteProcess, request);
  }
  BERTH_RETURN_IF_ERROR(response.status());
  return ExitResult{static_cast<int>(response->exit_status()), FromProto(response->exited_at())};
}

absl::Status TaskClient::Resize(const ProcessId& process, int columns, int rows) const {
  api::ResizePtyRequest request;
  request.set_container_id(process.container_id);
  request.set_exec_id(process.exec_id);
  request.set_width(static_cast<uint32_t>(columns));
  request.set_height(static_cast<uint32_t>(rows));
  return Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::ResizePty, request,
               kSessionCallTimeout)
      .status();
}

absl::Status TaskClient::CloseStdin(const ProcessId& process) const {
  api::CloseIORequest request;
  request.set_container_id(process.container_id);
  request.set_exec_id(process.exec_id);
  request.set_stdin(true);
  return Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::CloseIO, request,
               kSessionCallTimeout)
      .status();
}

absl::Status TaskClient::Pause(absl::string_view container_id) const {
  api::PauseTaskRequest request;
  request.set_container_id(std::string(container_id));
  return Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Pause, request).status();
}

absl::Status TaskClient::Resume(absl::string_view container_id) const {
  api::ResumeTaskRequest request;
  request.set_container_id(std::string(container_id));
  return Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Resume, request)
      .status();
}

absl::StatusOr<containerd::v1::types::Process> TaskClient::Get(const ProcessId& process) const {
  api::GetRequest request;
  request.set_container_id(process.container_id);
  request.set_exec_id(process.exec_id);
  BERTH_ASSIGN_OR_RETURN(api::GetResponse response, Unary(connection_, *connection_.stubs().tasks,
                                                          &api::Tasks::Stub::Get, request));
  return std::move(*response.mutable_process());
}

absl::StatusOr<std::vector<containerd::v1::types::Process>> TaskClient::List() const {
  BERTH_ASSIGN_OR_RETURN(const api::ListTasksResponse response,
                         Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::List,
                               api::ListTasksRequest()));
  return std::vector<containerd::v1::types::Process>(response.tasks().begin(),
                                                     response.tasks().end());
}

absl::StatusOr<std::vector<containerd::v1::types::ProcessInfo>> TaskClient::Pids(
    absl::string_view container_id) const {
  api::ListPidsRequest request;
  request.set_container_id(std::string(container_id));
  BERTH_ASSIGN_OR_RETURN(
      const api::ListPidsResponse response,
      Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::ListPids, request));
  return std::vector<containerd::v1::types::ProcessInfo>(response.processes().begin(),
                                                         response.processes().end());
}

absl::StatusOr<std::vector<containerd::types::Metric>> TaskClient::Metrics(
    const std::vector<std::string>& filters) const {
  api::MetricsRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  BERTH_ASSIGN_OR_RETURN(
      const api::MetricsResponse response,
      Unary(connection_, *connection_.stubs().tasks, &api::Tasks::Stub::Metrics, request));
  return std::vector<containerd::types::Metric>(response.metrics().begin(),
                                                response.metrics().end());
}

absl::StatusOr<std::unique_ptr<PendingWait>> TaskClient::StartWait(const ProcessId& process) const {
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  auto state = std::make_shared<WaitState>(connection_, process, std::move(pipe));
  state->Send();
  return std::make_unique<GrpcPendingWait>(std::move(state));
}

absl::StatusOr<ExitResult> TaskClient::Wait(const ProcessId& process,
                                            absl::Duration timeout) const {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<PendingWait> wait, StartWait(process));
  pollfd ready = {wait->ready().get(), POLLIN, 0};
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    const int64_t left_ms = left == absl::InfiniteDuration() ? -1 : absl::ToInt64Milliseconds(left);
    const int count = ::poll(&ready, 1, static_cast<int>(std::min<int64_t>(left_ms, 1 << 30)));
    if (count > 0) return wait->Result();
    if (count == 0 && absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the process still runs after ", absl::FormatDuration(timeout)));
    }
  }
}

}  // namespace berth::client
