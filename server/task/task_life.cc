#include "server/task/task_life.h"

#include <sys/socket.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth {

absl::StatusOr<TaskTable::TaskPtr> TaskLife::Find(const TaskKey& key) const {
  TaskTable::TaskPtr task = tasks_.Find(key);
  if (task == nullptr) return absl::NotFoundError(absl::StrCat("task \"", key.id, "\" not found"));
  BERTH_RETURN_IF_ERROR(task->CheckReady());
  if (!task->foreign_binary().empty()) {
    return absl::UnimplementedError(
        absl::StrCat("the shim of task \"", key.id, "\" (", task->foreign_binary(),
                     ") keeps no restart policy, health check, attach socket or record of its "
                     "steps: create the container with the runtime io.containerd.runc.v2"));
  }
  return task;
}

template <typename Request, typename Response>
void TaskLife::Ask(TaskKey key, const char* method, Request request, absl::Duration timeout,
                   Done<Response> done) {
  loop_.Post([this, key = std::move(key), method, request = std::move(request), timeout,
              done = std::move(done)]() mutable {
    const auto task = Find(key);
    if (!task.ok()) return done(task.status());
    request.set_id(key.id);
    (*task)->CallSupervisor<Response>(method, request, timeout, std::move(done));
  });
}

void TaskLife::SetPolicy(TaskKey key, shim::v1::SetPolicyRequest request, absl::Duration timeout,
                         Done<shim::v1::SetPolicyResponse> done) {
  Ask(std::move(key), "SetPolicy", std::move(request), timeout, std::move(done));
}

void TaskLife::ApplyLabels(TaskKey key, const Labels& labels, absl::Duration timeout,
                           absl::AnyInvocable<void(absl::Status)> done) {
  SetPolicy(std::move(key), PolicyOfLabels(labels).value_or(shim::v1::SetPolicyRequest()), timeout,
            [done = std::move(done)](absl::StatusOr<shim::v1::SetPolicyResponse> answer) mutable {
              const absl::Status& status = answer.status();
              const bool nobody = absl::IsNotFound(status) || absl::IsUnimplemented(status);
              done(nobody ? absl::OkStatus() : status);
            });
}

void TaskLife::MarkStopped(TaskKey key, shim::v1::MarkStoppedRequest request,
                           absl::Duration timeout, Done<shim::v1::MarkStoppedResponse> done) {
  Ask(std::move(key), "MarkStopped", std::move(request), timeout, std::move(done));
}

void TaskLife::GetStatus(TaskKey key, absl::Duration timeout,
                         Done<shim::v1::GetStatusResponse> done) {
  Ask(std::move(key), "GetStatus", shim::v1::GetStatusRequest(), timeout, std::move(done));
}

void TaskLife::GetSteps(TaskKey key, absl::Duration timeout,
                        Done<shim::v1::GetStepsResponse> done) {
  Ask(std::move(key), "GetSteps", shim::v1::GetStepsRequest(), timeout, std::move(done));
}

void TaskLife::Upgrade(TaskKey key, shim::v1::UpgradeRequest request, absl::Duration timeout,
                       Done<shim::v1::UpgradeResponse> done) {
  loop_.Post([this, key = std::move(key), request = std::move(request), timeout,
              done = std::move(done)]() mutable {
    const auto task = Find(key);
    if (absl::IsUnimplemented(task.status())) {
      return done(absl::UnimplementedError(
          absl::StrCat("the shim of task \"", key.id,
                       "\" is not Berth's own: how it is upgraded is its maker's to say")));
    }
    if (!task.ok()) return done(task.status());
    (*task)->CallSupervisor<shim::v1::UpgradeResponse>(
        "Upgrade", request, timeout,
        [key, done = std::move(done)](absl::StatusOr<shim::v1::UpgradeResponse> answer) mutable {
          if (absl::IsUnimplemented(answer.status())) {
            return done(absl::UnimplementedError(
                absl::StrCat("the shim of task \"", key.id,
                             "\" is too old to be upgraded in place: it goes when its container "
                             "is started anew")));
          }
          done(std::move(answer));
        });
  });
}

void TaskLife::Attach(TaskKey key, attach::Hello hello, Done<UniqueFd> done) {
  loop_.Post(
      [this, key = std::move(key), hello = std::move(hello), done = std::move(done)]() mutable {
        const auto connect = [&]() -> absl::StatusOr<UniqueFd> {
          BERTH_ASSIGN_OR_RETURN(const auto task, Find(key));
          BERTH_ASSIGN_OR_RETURN(const std::string greeting, attach::EncodeHello(hello));
          const std::string path = absl::StrCat(task->bundle(), "/", attach::kSocketName);
          absl::StatusOr<UniqueFd> socket = ConnectUnix(path, SOCK_NONBLOCK);
          if (absl::IsNotFound(socket.status())) {
            return absl::FailedPreconditionError(absl::StrCat(
                "task \"", key.id, "\" has no attach socket: its shim is older than this"));
          }
          BERTH_RETURN_IF_ERROR(socket.status()) << "attach to task \"" << key.id << "\"";
          // A new connection's buffer is empty and larger than any hello.
          BERTH_RETURN_IF_ERROR(WriteAll(*socket, greeting));
          return socket;
        };
        done(connect());
      });
}

}  // namespace berth
