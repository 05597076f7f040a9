#include "server/engine/execs.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/engine/exit_code.h"
#include "server/engine/names.h"
#include "server/engine/spec_builder.h"
#include "server/task/task_manager.h"

namespace berth::engine {
namespace {

namespace tasks = containerd::services::tasks::v1;
using Empty = google::protobuf::Empty;

constexpr char kProcessType[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";

absl::Status NoSuchExec(const std::string& exec_id) {
  return absl::NotFoundError(absl::StrCat("No such exec instance: ", exec_id));
}

}  // namespace

Async<absl::StatusOr<v1::CreateExecResponse>> Execs::Create(ContainerKey key,
                                                            v1::CreateExecRequest request) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
  if (request.command().empty()) co_return absl::InvalidArgumentError("No exec command specified");
  switch (container.state().status()) {
    case v1::STATUS_RUNNING:
      break;
    case v1::STATUS_PAUSED:
      co_return absl::FailedPreconditionError(absl::StrCat(
          "container ", container.name(), " is paused, unpause the container before exec"));
    case v1::STATUS_RESTARTING:
      co_return absl::FailedPreconditionError(absl::StrCat(
          "container ", key.id, " is restarting, wait until the container is running"));
    default:
      co_return absl::FailedPreconditionError(
          absl::StrCat("container ", key.id, " is not running"));
  }
  BERTH_CO_ASSIGN_OR_RETURN(const SpecInput input, lifecycle_.MakeSpecInput(key, container));
  BERTH_CO_ASSIGN_OR_RETURN(const oci::Json process, BuildExecProcess(input, request));
  const std::string exec_id = RandomId();
  tasks::ExecProcessRequest exec;
  exec.set_container_id(key.id);
  exec.set_exec_id(exec_id);
  exec.set_terminal(request.terminal());
  const bool attaches = request.attach_stdout() || request.attach_stderr();
  if (attaches || request.terminal()) exec.set_stdout("berth-attach://");
  if (attaches && !request.terminal()) exec.set_stderr("berth-attach://");
  if (request.open_stdin()) exec.set_stdin("berth-attach://?once=true");
  exec.mutable_spec()->set_type_url(kProcessType);
  exec.mutable_spec()->set_value(process.dump());
  AwaitCall<Empty> adding(parts_.executor, [&](auto done) {
    parts_.tasks.Exec({.ns = key.ns}, exec, std::move(done));
  });
  const absl::StatusOr<Empty> added = co_await adding;
  if (!added.ok()) co_return added.status();
  lifecycle_.Publish(key, container,
                     absl::StrCat("exec_create: ", absl::StrJoin(request.command().begin(),
                                                                 request.command().end(), " ")),
                     {{"execID", exec_id}});
  {
    MutexLock lock(&mutex_);
    Exec& record = execs_[exec_id];
    record.key = key;
    record.request = std::move(request);
  }
  v1::CreateExecResponse response;
  response.set_exec_id(exec_id);
  co_return response;
}

Async<absl::StatusOr<v1::StartExecResponse>> Execs::Start(std::string ns, std::string exec_id) {
  ContainerKey key;
  std::string program;
  std::string words;
  {
    MutexLock lock(&mutex_);
    const auto found = execs_.find(exec_id);
    if (found == execs_.end() || found->second.key.ns != ns) co_return NoSuchExec(exec_id);
    if (found->second.stage != Exec::Stage::kCreated) {
      co_return absl::FailedPreconditionError(
          absl::StrCat("Error: Exec command ", exec_id, " is already running"));
    }
    found->second.stage = Exec::Stage::kRunning;
    key = found->second.key;
    program = found->second.request.command(0);
    const auto& command = found->second.request.command();
    words = absl::StrJoin(command.begin(), command.end(), " ");
  }
  tasks::StartRequest request;
  request.set_container_id(key.id);
  request.set_exec_id(exec_id);
  AwaitCall<tasks::StartResponse> starting(parts_.executor, [&](auto done) {
    parts_.tasks.Start({.ns = key.ns}, request, std::move(done));
  });
  const absl::StatusOr<tasks::StartResponse> started = co_await starting;
  if (!started.ok()) {
    const int exit_code = ExitCodeOfStart(started.status(), program);
    OnEnd(key, exec_id, {0, static_cast<uint32_t>(exit_code), absl::Now()});
    co_return WithExitCode(started.status(), exit_code);
  }
  {
    MutexLock lock(&mutex_);
    if (const auto found = execs_.find(exec_id); found != execs_.end()) {
      found->second.pid = started->pid();
    }
  }
  if (const auto container = records_.Load(key); container.ok()) {
    lifecycle_.Publish(key, *container, absl::StrCat("exec_start: ", words), {{"execID", exec_id}});
  }
  v1::StartExecResponse response;
  response.set_pid(started->pid());
  co_return response;
}

absl::StatusOr<v1::InspectExecResponse> Execs::Inspect(const std::string& ns,
                                                       const std::string& exec_id) {
  MutexLock lock(&mutex_);
  const auto found = execs_.find(exec_id);
  if (found == execs_.end() || found->second.key.ns != ns) return NoSuchExec(exec_id);
  const Exec& exec = found->second;
  v1::InspectExecResponse response;
  response.set_container_id(exec.key.id);
  response.set_running(exec.stage == Exec::Stage::kRunning);
  response.set_exit_code(exec.exit_code);
  response.set_pid(exec.pid);
  const auto& command = exec.request.command();  // none of one that was recalled
  nlohmann::ordered_json arguments = nlohmann::ordered_json::array();
  for (int i = 1; i < command.size(); ++i) arguments.push_back(command[i]);
  nlohmann::ordered_json document = {{"ID", exec_id},
                                     {"Running", response.running()},
                                     {"ExitCode", nullptr},
                                     {"ProcessConfig",
                                      {{"tty", exec.request.terminal()},
                                       {"entrypoint", command.empty() ? "" : command[0]},
                                       {"arguments", std::move(arguments)},
                                       {"privileged", exec.request.privileged()},
                                       {"user", exec.request.user()}}},
                                     {"OpenStdin", exec.request.open_stdin()},
                                     {"OpenStderr", exec.request.attach_stderr()},
                                     {"OpenStdout", exec.request.attach_stdout()},
                                     {"ContainerID", exec.key.id},
                                     {"Pid", exec.pid}};
  if (exec.stage == Exec::Stage::kEnded) document["ExitCode"] = exec.exit_code;
  response.set_json(
      document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  return response;
}

absl::StatusOr<ContainerKey> Execs::ContainerOf(const std::string& ns, const std::string& exec_id) {
  MutexLock lock(&mutex_);
  const auto found = execs_.find(exec_id);
  if (found == execs_.end() || found->second.key.ns != ns) return NoSuchExec(exec_id);
  return found->second.key;
}

void Execs::Recall(const ContainerKey& key, const std::string& exec_id) {
  MutexLock lock(&mutex_);
  Exec& exec = execs_[exec_id];
  if (!exec.key.id.empty()) return;
  exec.key = key;
  exec.stage = Exec::Stage::kRunning;
}

bool Execs::IsKnown(const std::string& exec_id) {
  MutexLock lock(&mutex_);
  return execs_.contains(exec_id);
}

std::vector<std::string> Execs::RunningIn(const ContainerKey& key) {
  MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, exec] : execs_) {
    if (exec.key == key && exec.stage == Exec::Stage::kRunning) ids.push_back(id);
  }
  return ids;
}

void Execs::WaitEnd(const std::string& exec_id, absl::AnyInvocable<void(int)> callback) {
  int exit_code = 0;
  {
    MutexLock lock(&mutex_);
    const auto found = execs_.find(exec_id);
    if (found != execs_.end() && found->second.stage != Exec::Stage::kEnded) {
      found->second.waiting.push_back(std::move(callback));
      return;
    }
    if (found != execs_.end()) exit_code = found->second.exit_code;
  }
  callback(exit_code);
}

Async<bool> Execs::DeleteProcess(ContainerKey key, std::string exec_id) {
  tasks::DeleteProcessRequest request;
  request.set_container_id(key.id);
  request.set_exec_id(exec_id);
  AwaitCall<tasks::DeleteResponse> deletion(parts_.executor, [&](auto done) {
    parts_.tasks.DeleteProcess({.ns = key.ns}, request, std::move(done));
  });
  const absl::StatusOr<tasks::DeleteResponse> deleted = co_await deletion;
  co_return deleted.ok();
}

void Execs::OnEnd(const ContainerKey& key, const std::string& exec_id, const TaskEndNews& end) {
  // Ids of other clients (dockerd's) look like ours: the container tells whose it is.
  if (IsWholeId(exec_id) && !IsKnown(exec_id) && records_.Load(key).ok()) Recall(key, exec_id);
  std::vector<absl::AnyInvocable<void(int)>> waiting;
  {
    MutexLock lock(&mutex_);
    const auto found = execs_.find(exec_id);
    // A health check, or another client's.
    if (found == execs_.end()) return;
    Exec& exec = found->second;
    if (exec.stage == Exec::Stage::kEnded) return;
    exec.stage = Exec::Stage::kEnded;
    exec.exit_code = static_cast<int>(end.status);
    waiting = std::move(exec.waiting);
    ended_.push_back(exec_id);
    if (ended_.size() > kKept) {
      execs_.erase(ended_.front());
      ended_.pop_front();
    }
  }
  for (auto& callback : waiting) callback(static_cast<int>(end.status));
  if (const auto container = records_.Load(key); container.ok()) {
    lifecycle_.Publish(key, *container, "exec_die",
                       {{"execID", exec_id}, {"exitCode", absl::StrCat(end.status)}});
  }
  Begin(DeleteProcess(key, exec_id));
}

Async<absl::StatusOr<v1::ResizeResponse>> Execs::Resize(ContainerKey key,
                                                        v1::ResizeRequest request) {
  tasks::ResizePtyRequest resize;
  resize.set_container_id(key.id);
  resize.set_exec_id(request.exec_id());
  resize.set_width(request.columns());
  resize.set_height(request.rows());
  AwaitCall<Empty> resizing(parts_.executor, [&](auto done) {
    parts_.tasks.ResizePty({.ns = key.ns}, resize, std::move(done));
  });
  const absl::StatusOr<Empty> resized = co_await resizing;
  if (!resized.ok()) co_return resized.status();
  co_return v1::ResizeResponse();
}

}  // namespace berth::engine
