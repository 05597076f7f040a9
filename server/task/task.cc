#include "server/task/task.h"

#include "absl/strings/str_cat.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/time_proto.h"

namespace berth {
namespace {

// Between the loss of a connection to a living shim and the next question about an exit.
constexpr absl::Duration kAskAgain = absl::Milliseconds(200);

}  // namespace

Task::Task(Loop& loop, TaskKey key, std::string bundle)
    : loop_(loop),
      key_(std::move(key)),
      bundle_(std::move(bundle)),
      queue_(std::make_shared<OperationQueue>(loop)) {}

absl::Status Task::Attach(Shim shim, absl::AnyInvocable<void(const std::string& how)> on_gone) {
  on_gone_ = std::move(on_gone);
  const auto gone = [this](const std::string& how) {
    if (auto callback = std::exchange(on_gone_, nullptr)) callback(how);
  };
  absl::AnyInvocable<void()> on_disconnected;
  if (shim.pidfd.valid()) {
    auto process = ShimProcess::Watch(loop_, shim.pid, std::move(shim.pidfd), gone);
    if (!process.ok()) return process.status();
    process_ = *std::move(process);
  } else {
    on_disconnected = [gone] { gone("its connection was closed"); };
  }
  link_ = std::make_unique<ShimLink>(loop_, key_.ns, std::move(shim.socket_path), shim.api,
                                     std::move(on_disconnected));
  if (shim.connection.valid()) link_->Adopt(std::move(shim.connection));
  return absl::OkStatus();
}

void Task::KillShim() {
  if (process_ == nullptr || process_->ended()) return;
  shim_killed_ = true;
  process_->Kill();
}

absl::Status Task::CheckReady() const {
  switch (stage_) {
    case TaskStage::kCreating:
      return absl::NotFoundError(
          absl::StrCat("task \"", key_.id, "\" not found: it is still being created"));
    case TaskStage::kReady:
      return absl::OkStatus();
    case TaskStage::kDeleting:
      return absl::NotFoundError(
          absl::StrCat("task \"", key_.id, "\" not found: it is being removed"));
    case TaskStage::kLost:
      return absl::UnavailableError(
          absl::StrCat("the shim of task \"", key_.id,
                       "\" has ended unexpectedly; what is left of the container is being removed "
                       "and its exit will be published"));
  }
  return absl::InternalError("unknown stage");
}

absl::Status Task::Explain(absl::Status error) const {
  if (absl::IsUnavailable(error)) {
    return absl::UnavailableError(
        absl::StrCat("the shim of task \"", key_.id, "\" cannot be reached: ", error.message()));
  }
  if (absl::IsDeadlineExceeded(error)) {
    return absl::DeadlineExceededError(
        absl::StrCat("the shim of task \"", key_.id, "\" is slow: ", error.message()));
  }
  return error;
}

void Task::Wait(const std::string& exec_id, uint64_t ticket, ExitWaiters::Done done) {
  const absl::Status added = waiters_.Add(exec_id, ticket, done);
  if (!added.ok()) return done(added);
  if (stage_ == TaskStage::kReady) AskForExit(exec_id);
}

void Task::CancelWait(const std::string& exec_id, uint64_t ticket) {
  waiters_.Cancel(exec_id, ticket);
}

// One question serves all who wait, and is left standing when they leave: ttrpc cannot take a call
// back, and a client that polls with short deadlines must not pile them up in the shim.
void Task::AskForExit(const std::string& exec_id) {
  if (!asked_.insert(exec_id).second) return;
  containerd::task::v2::WaitRequest request;
  request.set_id(key_.id);
  request.set_exec_id(exec_id);
  link_->Call<containerd::task::v2::WaitResponse>(
      "Wait", request, absl::InfiniteDuration(),
      [self = shared_from_this(),
       exec_id](absl::StatusOr<containerd::task::v2::WaitResponse> answer) {
        if (!answer.ok()) return self->OnExitAnswer(exec_id, answer.status());
        ExitWaiters::Response response;
        response.set_exit_status(answer->exit_status());
        *response.mutable_exited_at() = answer->exited_at();
        self->OnExitAnswer(exec_id, response);
      });
}

void Task::OnExitAnswer(const std::string& exec_id, absl::StatusOr<ExitWaiters::Response> answer) {
  asked_.erase(exec_id);
  if (released_) return;
  if (!absl::IsUnavailable(answer.status())) return waiters_.Answer(exec_id, answer);
  // The connection is lost. If the shim ended with it, its end answers; else it is asked again.
  loop_.After(kAskAgain, [weak = weak_from_this(), exec_id] {
    const auto self = weak.lock();
    if (self != nullptr && self->stage_ == TaskStage::kReady && self->waiters_.Has(exec_id)) {
      self->AskForExit(exec_id);
    }
  });
}

void Task::OnEnd(const TaskEnd& end) {
  const auto response = [](const ProcessExit& exit) {
    ExitWaiters::Response wait;
    wait.set_exit_status(exit.status);
    *wait.mutable_exited_at() = ToTimestamp(exit.at);
    return wait;
  };
  for (const ProcessExit& exec : end.execs) waiters_.Answer(exec.exec_id, response(exec));
  if (end.existed) waiters_.Answer("", response(end.init));
  waiters_.AnswerAll(absl::NotFoundError(absl::StrCat("task \"", key_.id, "\" not found")));
  for (auto& callback : std::exchange(when_ended_, {})) callback(&end);
}

void Task::WhenEnded(absl::AnyInvocable<void(const TaskEnd*)> callback) {
  when_ended_.push_back(std::move(callback));
}

void Task::Release(const absl::Status& reason) {
  released_ = true;
  on_gone_ = nullptr;
  process_.reset();
  log_pipe_.reset();
  queue_->Close(reason);
  if (link_ != nullptr) link_->Close();
  waiters_.AnswerAll(reason);
  for (auto& callback : std::exchange(when_ended_, {})) callback(nullptr);
}

}  // namespace berth
