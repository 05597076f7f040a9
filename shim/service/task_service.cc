#include "shim/service/task_service.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/process_identity.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/service/shim_cgroup.h"
#include "shim/service/timestamp.h"
#include "shim/service/version.h"

namespace berth::service {
namespace {

namespace v2 = containerd::task::v2;
using containerd::v1::types::Status;

template <typename Request, typename Response>
void Register(ttrpc::Server& server, const std::string& service, const char* method,
              absl::AnyInvocable<void(Request, Done<Response>)> handler,
              ttrpc::Server::Repeatable repeatable = ttrpc::Server::Repeatable::kNo) {
  auto serve = [handler = std::move(handler)](ttrpc::Call call) mutable {
    Request request;
    if (!request.ParseFromString(call.payload())) {
      return call.Reply(absl::InvalidArgumentError("malformed request"));
    }
    handler(std::move(request),
            [call = std::move(call)](absl::StatusOr<Response> response) mutable {
              if (!response.ok()) return call.Reply(response.status());
              call.Reply(response->SerializeAsString());
            });
  };
  server.Register(service, method, std::move(serve), repeatable);
}

Status WireStatus(task::State state) {
  switch (state) {
    case task::State::kCreating:
      return Status::UNKNOWN;
    case task::State::kAdded:
    case task::State::kCreated:
    case task::State::kStarting:
      return Status::CREATED;
    case task::State::kRunning:
      return Status::RUNNING;
    case task::State::kPausing:
      return Status::PAUSING;
    case task::State::kPaused:
    case task::State::kResuming:
      return Status::PAUSED;
    case task::State::kStopped:
    case task::State::kDeleting:
      return Status::STOPPED;
  }
  return Status::UNKNOWN;
}

template <typename Request>
task::Stdio StdioOf(const Request& request) {
  return task::Stdio{.in = request.stdin(),
                     .out = request.stdout(),
                     .err = request.stderr(),
                     .terminal = request.terminal()};
}

}  // namespace

TaskService::TaskService(ShimContext& context, std::string journal_id,
                         std::unique_ptr<journal::Writer> journal,
                         absl::AnyInvocable<void()> on_end)
    : context_(context),
      journal_id_(std::move(journal_id)),
      journal_(std::move(journal)),
      on_end_(std::move(on_end)) {
  EndIn(kLingerUnused);
}

TaskService::~TaskService() { context_.loop.Cancel(end_timer_); }

absl::Status TaskService::Save(handover::Packer& packer, berth::shim::v1::ShimState& state) const {
  if (tasks_.empty()) {
    return absl::FailedPreconditionError("the shim holds no task, and is about to end");
  }
  if (journal_ != nullptr) return absl::UnavailableError("the shim's first task is not made yet");
  for (const auto& [id, task] : tasks_) {
    BERTH_RETURN_IF_ERROR(task->Save(packer, *state.add_tasks())) << "task \"" << id << "\"";
  }
  packer.Count(end_timer_);
  return absl::OkStatus();
}

absl::Status TaskService::Resume(const berth::shim::v1::ShimState& state,
                                 handover::Unpacker& unpacker) {
  context_.loop.Cancel(end_timer_);
  if (state.tasks().empty()) return absl::FailedPreconditionError("there is no task");
  for (const berth::shim::v1::TaskState& saved : state.tasks()) {
    std::unique_ptr<LiveTask>& task = tasks_[saved.id()];
    if (task != nullptr) return absl::FailedPreconditionError("a task is there twice");
    BERTH_ASSIGN_OR_RETURN(task, LiveTask::Resume(context_, saved, unpacker));
  }
  context_.events.Resume(state, [this](const EventQueue::Then& then) -> EventQueue::OnAcknowledged {
    const auto task = Find(then.task);
    if (!task.ok()) return nullptr;
    return (*task)->AcknowledgedBy(then);
  });
  return absl::OkStatus();
}

void TaskService::Register(ttrpc::Server& server) {
  for (const char* service : {"containerd.task.v2.Task", "containerd.task.v3.Task"}) {
    RegisterWaiting(server, service);
    RegisterImmediate(server, service);
  }
  supervisor_.Register(server);
}

void TaskService::RegisterWaiting(ttrpc::Server& server, const std::string& service) {
  const auto add = [&]<typename Request, typename Response>(
                       const char* method, void (TaskService::*handler)(Request, Done<Response>),
                       ttrpc::Server::Repeatable repeatable = ttrpc::Server::Repeatable::kNo) {
    service::Register<Request, Response>(
        server, service, method,
        [this, handler](Request request, Done<Response> done) {
          (this->*handler)(std::move(request), std::move(done));
        },
        repeatable);
  };
  add("Create", &TaskService::Create);
  add("Start", &TaskService::Start);
  add("Delete", &TaskService::Delete);
  add("Wait", &TaskService::Wait, ttrpc::Server::Repeatable::kYes);
  add("Pause", &TaskService::Pause);
  add("Resume", &TaskService::Resume);
}

void TaskService::RegisterImmediate(ttrpc::Server& server, const std::string& service) {
  const auto add = [&]<typename Request, typename Response>(
                       const char* method,
                       absl::StatusOr<Response> (TaskService::*handler)(const Request&)) {
    service::Register<Request, Response>(
        server, service, method,
        [this, handler](Request request, Done<Response> done) { done((this->*handler)(request)); });
  };
  add("State", &TaskService::State);
  add("Pids", &TaskService::Pids);
  add("Kill", &TaskService::Kill);
  add("Exec", &TaskService::Exec);
  add("ResizePty", &TaskService::ResizePty);
  add("CloseIO", &TaskService::CloseIO);
  add("Checkpoint", &TaskService::Checkpoint);
  add("Update", &TaskService::Update);
  add("Stats", &TaskService::Stats);
  add("Connect", &TaskService::Connect);
  add("Shutdown", &TaskService::Shutdown);
}

absl::StatusOr<LiveTask*> TaskService::Find(const std::string& id) const {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) {
    return absl::NotFoundError(absl::StrCat("task \"", id, "\" not found"));
  }
  return found->second.get();
}

absl::StatusOr<std::unique_ptr<journal::Writer>> TaskService::JournalFor(
    const std::string& id, const std::string& bundle) {
  if (id == journal_id_ && journal_ != nullptr) return std::move(journal_);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenFile(bundle, O_RDONLY | O_DIRECTORY));
  return journal::Writer::Create(directory,
                                 journal::Header{.boot_id = "",
                                                 .namespace_name = context_.namespace_name,
                                                 .container_id = id,
                                                 .shim = *ReadProcessIdentity(::getpid())});
}

void TaskService::Create(v2::CreateTaskRequest request, Done<v2::CreateTaskResponse> done) {
  const std::string id = request.id();
  if (id.empty()) return done(absl::InvalidArgumentError("a task needs an id"));
  if (!on_end_) return done(absl::UnavailableError("this shim is ending: start another"));
  if (tasks_.contains(id)) {
    return done(absl::AlreadyExistsError(absl::StrCat("task \"", id, "\" already exists")));
  }
  if (!request.checkpoint().empty() || !request.parent_checkpoint().empty()) {
    return done(absl::UnimplementedError(
        "create from a checkpoint: this shim cannot restore; create without one"));
  }
  auto options = DecodeRuntimeOptions(request.options());
  if (!options.ok()) return done(options.status());
  if (!options->shim_cgroup.empty()) {
    if (absl::Status joined = JoinCgroup(options->shim_cgroup); !joined.ok()) {
      return done(Annotate(joined, "runtime option ShimCgroup"));
    }
  }
  auto journal = JournalFor(id, request.bundle());
  if (!journal.ok()) return done(Annotate(journal.status(), "journal of the task"));

  CreateSpec spec;
  spec.id = id;
  spec.bundle = request.bundle();
  for (const containerd::types::Mount& mount : request.rootfs()) {
    spec.rootfs_mounts.push_back(
        launch::RootfsMount{.type = mount.type(),
                            .source = mount.source(),
                            .target = mount.target(),
                            .options = {mount.options().begin(), mount.options().end()}});
  }
  spec.stdio = StdioOf(request);
  spec.options = *std::move(options);
  context_.loop.Cancel(end_timer_);
  auto& task = tasks_[id];
  task = std::make_unique<LiveTask>(context_, std::move(spec), *std::move(journal));
  task->Create([this, id, done = std::move(done)](absl::StatusOr<pid_t> pid) mutable {
    if (!pid.ok()) {
      Drop(id);
      return done(pid.status());
    }
    v2::CreateTaskResponse response;
    response.set_pid(*pid);
    done(std::move(response));
  });
}

void TaskService::Start(v2::StartRequest request, Done<v2::StartResponse> done) {
  const auto task = Find(request.id());
  if (!task.ok()) return done(task.status());
  (*task)->Start(request.exec_id(), [done = std::move(done)](absl::StatusOr<pid_t> pid) mutable {
    if (!pid.ok()) return done(pid.status());
    v2::StartResponse response;
    response.set_pid(*pid);
    done(std::move(response));
  });
}

void TaskService::Delete(v2::DeleteRequest request, Done<v2::DeleteResponse> done) {
  const auto task = Find(request.id());
  if (!task.ok()) return done(task.status());
  (*task)->Delete(request.exec_id(), [this, id = request.id(), is_init = request.exec_id().empty(),
                                      done = std::move(done)](absl::StatusOr<Ended> ended) mutable {
    if (!ended.ok()) return done(ended.status());
    v2::DeleteResponse response;
    response.set_pid(ended->pid);
    response.set_exit_status(ended->status);
    SetTimestamp(ended->at, response.mutable_exited_at());
    if (is_init) Drop(id);
    done(std::move(response));
  });
}

void TaskService::Drop(const std::string& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return;  // a joined delete
  // From the loop: the caller is a callback of the task's.
  context_.loop.Post([old = std::shared_ptr<LiveTask>(std::move(found->second))] {});
  tasks_.erase(found);
  if (tasks_.empty()) EndIn(kLingerAfterLastTask);
}

void TaskService::EndIn(absl::Duration delay) {
  context_.loop.Cancel(end_timer_);
  end_timer_ = context_.loop.After(delay, [this] {
    if (on_end_) std::exchange(on_end_, nullptr)();
  });
}

void TaskService::Wait(v2::WaitRequest request, Done<v2::WaitResponse> done) {
  const auto task = Find(request.id());
  if (!task.ok()) return done(task.status());
  (*task)->Wait(request.exec_id(), [done = std::move(done)](absl::StatusOr<Ended> ended) mutable {
    if (!ended.ok()) return done(ended.status());
    v2::WaitResponse response;
    response.set_exit_status(ended->status);
    SetTimestamp(ended->at, response.mutable_exited_at());
    done(std::move(response));
  });
}

void TaskService::Pause(v2::PauseRequest request, Done<Empty> done) {
  const auto task = Find(request.id());
  if (!task.ok()) return done(task.status());
  (*task)->Pause([done = std::move(done)](absl::Status status) mutable {
    if (!status.ok()) return done(status);
    done(Empty());
  });
}

void TaskService::Resume(v2::ResumeRequest request, Done<Empty> done) {
  const auto task = Find(request.id());
  if (!task.ok()) return done(task.status());
  (*task)->Resume([done = std::move(done)](absl::Status status) mutable {
    if (!status.ok()) return done(status);
    done(Empty());
  });
}

absl::StatusOr<v2::StateResponse> TaskService::State(const v2::StateRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const LiveTask* task, Find(request.id()));
  BERTH_ASSIGN_OR_RETURN(const task::Process* process, task->state().Find(request.exec_id()));
  v2::StateResponse response;
  response.set_id(request.exec_id().empty() ? request.id() : request.exec_id());
  response.set_bundle(task->bundle());
  response.set_pid(process->pid);
  response.set_status(WireStatus(process->state));
  response.set_stdin(process->stdio.in);
  response.set_stdout(process->stdio.out);
  response.set_stderr(process->stdio.err);
  response.set_terminal(process->stdio.terminal);
  response.set_exit_status(process->exit_status);
  SetTimestamp(process->exited_at, response.mutable_exited_at());
  response.set_exec_id(request.exec_id());
  return response;
}

absl::StatusOr<v2::PidsResponse> TaskService::Pids(const v2::PidsRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const LiveTask* task, Find(request.id()));
  BERTH_ASSIGN_OR_RETURN(const auto pids, task->Pids());
  v2::PidsResponse response;
  for (const auto& [pid, exec_id] : pids) {
    auto& process = *response.add_processes();
    process.set_pid(pid);
    if (exec_id.empty()) continue;
    containerd::runc::v1::ProcessDetails details;
    details.set_exec_id(exec_id);
    process.mutable_info()->set_type_url("containerd.runc.v1.ProcessDetails");
    process.mutable_info()->set_value(details.SerializeAsString());
  }
  return response;
}

absl::StatusOr<TaskService::Empty> TaskService::Kill(const v2::KillRequest& request) {
  BERTH_ASSIGN_OR_RETURN(LiveTask * task, Find(request.id()));
  if (request.signal() > static_cast<uint32_t>(SIGRTMAX)) {
    return absl::InvalidArgumentError(absl::StrCat("no signal has the number ", request.signal()));
  }
  BERTH_RETURN_IF_ERROR(
      task->Kill(request.exec_id(), static_cast<int>(request.signal()),
                 request.all() ? launch::KillScope::kAll : launch::KillScope::kInit));
  return Empty();
}

absl::StatusOr<TaskService::Empty> TaskService::Exec(const v2::ExecProcessRequest& request) {
  BERTH_ASSIGN_OR_RETURN(LiveTask * task, Find(request.id()));
  BERTH_RETURN_IF_ERROR(task->AddExec(request.exec_id(), StdioOf(request), request.spec().value()));
  return Empty();
}

absl::StatusOr<TaskService::Empty> TaskService::ResizePty(const v2::ResizePtyRequest& request) {
  BERTH_ASSIGN_OR_RETURN(LiveTask * task, Find(request.id()));
  constexpr uint32_t kMost = 0xffff;  // of a terminal
  BERTH_RETURN_IF_ERROR(task->Resize(request.exec_id(), std::min(request.width(), kMost),
                                     std::min(request.height(), kMost)));
  return Empty();
}

absl::StatusOr<TaskService::Empty> TaskService::CloseIO(const v2::CloseIORequest& request) {
  BERTH_ASSIGN_OR_RETURN(LiveTask * task, Find(request.id()));
  if (request.stdin()) {
    BERTH_RETURN_IF_ERROR(task->CloseInput(request.exec_id()));
  }
  return Empty();
}

absl::StatusOr<TaskService::Empty> TaskService::Checkpoint(
    const v2::CheckpointTaskRequest& request) {
  BERTH_RETURN_IF_ERROR(Find(request.id()).status());
  return absl::UnimplementedError("checkpoint: this shim's runtime cannot checkpoint containers");
}

absl::StatusOr<TaskService::Empty> TaskService::Update(const v2::UpdateTaskRequest& request) {
  BERTH_ASSIGN_OR_RETURN(LiveTask * task, Find(request.id()));
  BERTH_RETURN_IF_ERROR(task->Update(request.resources().value()));
  return Empty();
}

absl::StatusOr<v2::StatsResponse> TaskService::Stats(const v2::StatsRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const LiveTask* task, Find(request.id()));
  BERTH_ASSIGN_OR_RETURN(launch::StatsAny stats, task->Stats());
  v2::StatsResponse response;
  response.mutable_stats()->set_type_url(std::move(stats.type_url));
  response.mutable_stats()->set_value(std::move(stats.value));
  return response;
}

absl::StatusOr<v2::ConnectResponse> TaskService::Connect(const v2::ConnectRequest& request) {
  v2::ConnectResponse response;
  response.set_shim_pid(::getpid());
  response.set_version(kVersion);
  if (const auto task = Find(request.id()); task.ok()) {
    response.set_task_pid((*task)->state().init().pid);
  }
  return response;
}

absl::StatusOr<TaskService::Empty> TaskService::Shutdown(const v2::ShutdownRequest& request) {
  // Refused without a word while tasks remain: clients call it after each Delete.
  if (tasks_.empty()) EndIn(absl::ZeroDuration());
  return Empty();
}

}  // namespace berth::service
