#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/grpc/executor.h"
#include "base/status/status_macros.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/engine/config_merge.h"
#include "server/engine/host_checks.h"
#include "server/engine/lifecycle.h"
#include "server/engine/modes.h"
#include "server/engine/names.h"
#include "server/engine/spec_resources.h"
#include "server/task/task_manager.h"

namespace berth::engine {
namespace {

namespace tasks = containerd::services::tasks::v1;
using Empty = google::protobuf::Empty;

constexpr absl::Duration kMarkTimeout = absl::Seconds(5);
// SIGKILL cannot be ignored; what takes longer is a process in an uninterruptible wait.
constexpr absl::Duration kKillLimit = absl::Seconds(10);
constexpr int kDefaultStopSeconds = 10;
constexpr char kResourcesType[] =
    "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

bool Runs(const v1::State& state) {
  return state.status() == v1::STATUS_RUNNING || state.status() == v1::STATUS_PAUSED ||
         state.status() == v1::STATUS_RESTARTING;
}

absl::Status NotRunning(const ContainerKey& key) {
  return absl::FailedPreconditionError(absl::StrCat("container ", key.id, " is not running"));
}

absl::Duration StopTimeout(const v1::Container& container,
                           const v1::StopContainerRequest& request) {
  int seconds = kDefaultStopSeconds;
  if (container.config().has_stop_timeout_seconds()) {
    seconds = container.config().stop_timeout_seconds();
  }
  if (request.has_timeout_seconds()) seconds = request.timeout_seconds();
  return seconds < 0 ? absl::InfiniteDuration() : absl::Seconds(seconds);
}

}  // namespace

Async<absl::Status> Lifecycle::Signal(ContainerKey key, int signal) {
  tasks::KillRequest request;
  request.set_container_id(key.id);
  request.set_signal(static_cast<uint32_t>(signal));
  AwaitCall<Empty> kill(parts_.executor, [&](auto done) {
    parts_.tasks.Kill({.ns = key.ns}, request, std::move(done));
  });
  const absl::StatusOr<Empty> answer = co_await kill;
  co_return answer.status();
}

Async<absl::Status> Lifecycle::MarkStopped(ContainerKey key) {
  // Without a row the removal has come first.
  table_
      .ChangeState(key,
                   [](v1::State& state) {
                     state.set_manually_stopped(true);
                     return true;
                   })
      .IgnoreError();
  shim::v1::MarkStoppedRequest request;
  request.set_stopped(true);
  AwaitCall<shim::v1::MarkStoppedResponse> mark(parts_.executor, [&](auto done) {
    parts_.tasks.life().MarkStopped({key.ns, key.id}, request, kMarkTimeout, std::move(done));
  });
  const absl::StatusOr<shim::v1::MarkStoppedResponse> answer = co_await mark;
  if (absl::IsUnimplemented(answer.status()) || absl::IsNotFound(answer.status())) {
    co_return absl::OkStatus();
  }
  co_return answer.status();
}

Async<absl::Status> Lifecycle::KillAndAwait(ContainerKey key) {
  for (int attempt = 0;; ++attempt) {
    const auto row = table_.Get(key);
    if (!row.ok() || !Runs(row->state)) co_return absl::OkStatus();
    if (row->state.status() == v1::STATUS_PAUSED) {
      // A frozen process of a v1 group does not even die.
      Async<absl::StatusOr<v1::UnpauseContainerResponse>> unpause = Unpause(key);
      const auto unpaused = co_await unpause;
      unpaused.status().IgnoreError();
    }
    Async<absl::Status> kill = Signal(key, SIGKILL);
    const absl::Status killed = co_await kill;
    if (row->state.status() == v1::STATUS_RESTARTING || !killed.ok()) {
      // It waits for its next start, which MarkStopped has called off: there is nothing to signal.
      Async<bool> settle = ReconcileOne(key, row->state, false);
      co_await settle;
    }
    Async<absl::Status> end = AwaitExit(key, kKillLimit);
    const absl::Status ended = co_await end;
    if (ended.ok() || attempt > 0) {
      if (ended.ok()) co_return ended;
      co_return absl::DeadlineExceededError(absl::StrCat(
          "tried to kill container ", key.id, ", but did not receive an exit event within 10 s",
          killed.ok() ? "" : absl::StrCat(": ", killed.message())));
    }
  }
}

Async<absl::StatusOr<v1::StopContainerResponse>> Lifecycle::Stop(ContainerKey key,
                                                                 v1::StopContainerRequest request) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
  v1::StopContainerResponse response;
  if (!Runs(container.state())) {
    response.set_already_stopped(true);
    co_return response;
  }
  std::string name = request.signal();
  if (name.empty()) name = container.config().stop_signal();
  if (name.empty()) name = "SIGTERM";
  BERTH_CO_ASSIGN_OR_RETURN(const int signal, ParseSignal(name));
  Async<absl::Status> mark = MarkStopped(key);
  const absl::Status marked = co_await mark;
  if (!marked.ok()) co_return marked;
  absl::Status ended = absl::DeadlineExceededError("");
  if (container.state().status() == v1::STATUS_RUNNING) {
    Async<absl::Status> send = Signal(key, signal);
    const absl::Status sent = co_await send;
    if (sent.ok()) {
      Publish(key, container, "kill", {{"signal", absl::StrCat(signal)}});
      Async<absl::Status> end = AwaitExit(key, StopTimeout(container, request));
      ended = co_await end;
    }
  }
  if (!ended.ok()) {
    Async<absl::Status> kill = KillAndAwait(key);
    const absl::Status killed = co_await kill;
    if (!killed.ok()) co_return killed;
  }
  Publish(key, container, "stop");
  co_return response;
}

Async<absl::StatusOr<v1::KillContainerResponse>> Lifecycle::Kill(ContainerKey key,
                                                                 v1::KillContainerRequest request) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
  BERTH_CO_ASSIGN_OR_RETURN(const int signal,
                            ParseSignal(request.signal().empty() ? "SIGKILL" : request.signal()));
  if (!Runs(container.state())) {
    co_return absl::FailedPreconditionError(absl::StrCat(
        "cannot kill container: ", container.name(), ": container ", key.id, " is not running"));
  }
  std::string stop_signal = container.config().stop_signal();
  if (stop_signal.empty()) stop_signal = "SIGTERM";
  const absl::StatusOr<int> stops = ParseSignal(stop_signal);
  // As in Docker: a kill that is meant to end it is a manual stop, any other signal is not.
  if (signal == SIGKILL || (stops.ok() && signal == *stops)) {
    Async<absl::Status> mark = MarkStopped(key);
    const absl::Status marked = co_await mark;
    if (!marked.ok()) co_return marked;
  }
  if (signal == SIGKILL) {
    Publish(key, container, "kill", {{"signal", "9"}});
    Async<absl::Status> kill = KillAndAwait(key);
    const absl::Status killed = co_await kill;
    if (!killed.ok()) co_return killed;
    co_return v1::KillContainerResponse();
  }
  Async<absl::Status> send = Signal(key, signal);
  const absl::Status sent = co_await send;
  if (!sent.ok()) co_return sent;
  Publish(key, container, "kill", {{"signal", absl::StrCat(signal)}});
  co_return v1::KillContainerResponse();
}

Async<absl::StatusOr<v1::RestartContainerResponse>> Lifecycle::Restart(
    ContainerKey key, v1::RestartContainerRequest request) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
  v1::StopContainerRequest stop;
  stop.set_signal(request.signal());
  if (request.has_timeout_seconds()) stop.set_timeout_seconds(request.timeout_seconds());
  {
    MutexLock lock(&restarting_mutex_);
    restarting_.insert(key);
  }
  Async<absl::StatusOr<v1::StopContainerResponse>> stopping = Stop(key, stop);
  const auto stopped = co_await stopping;
  absl::Status status = stopped.status();
  if (status.ok()) {
    Async<absl::StatusOr<v1::StartContainerResponse>> starting = Start(key, {});
    const auto started = co_await starting;
    status = started.status();
  }
  {
    MutexLock lock(&restarting_mutex_);
    restarting_.erase(key);
  }
  if (!status.ok()) co_return status;
  Publish(key, container, "restart");
  co_return v1::RestartContainerResponse();
}

Async<absl::StatusOr<v1::PauseContainerResponse>> Lifecycle::Pause(ContainerKey key) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
  if (container.state().status() == v1::STATUS_PAUSED) {
    co_return absl::FailedPreconditionError(
        absl::StrCat("container ", key.id, " is already paused"));
  }
  if (container.state().status() != v1::STATUS_RUNNING) co_return NotRunning(key);
  tasks::PauseTaskRequest request;
  request.set_container_id(key.id);
  AwaitCall<Empty> pause(parts_.executor, [&](auto done) {
    parts_.tasks.Pause({.ns = key.ns}, request, std::move(done));
  });
  const absl::StatusOr<Empty> answer = co_await pause;
  if (!answer.ok()) co_return answer.status();
  BERTH_CO_RETURN_IF_ERROR(table_.ChangeState(key, [](v1::State& state) {
    if (state.status() != v1::STATUS_RUNNING) return false;  // it ended meanwhile
    state.set_status(v1::STATUS_PAUSED);
    return true;
  }));
  Publish(key, container, "pause");
  co_return v1::PauseContainerResponse();
}

Async<absl::StatusOr<v1::UnpauseContainerResponse>> Lifecycle::Unpause(ContainerKey key) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
  if (container.state().status() != v1::STATUS_PAUSED) {
    co_return absl::FailedPreconditionError(absl::StrCat("Container ", key.id, " is not paused"));
  }
  tasks::ResumeTaskRequest request;
  request.set_container_id(key.id);
  AwaitCall<Empty> resume(parts_.executor, [&](auto done) {
    parts_.tasks.Resume({.ns = key.ns}, request, std::move(done));
  });
  const absl::StatusOr<Empty> answer = co_await resume;
  if (!answer.ok()) co_return answer.status();
  BERTH_CO_RETURN_IF_ERROR(table_.ChangeState(key, [](v1::State& state) {
    if (state.status() != v1::STATUS_PAUSED) return false;
    state.set_status(v1::STATUS_RUNNING);
    return true;
  }));
  Publish(key, container, "unpause");
  co_return v1::UnpauseContainerResponse();
}

Async<absl::StatusOr<v1::RenameContainerResponse>> Lifecycle::Rename(ContainerKey key,
                                                                     std::string name) {
  BERTH_CO_RETURN_IF_ERROR(ValidateContainerName(name));
  Await<KeyedLocks::Guard> lock(parts_.executor,
                                [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
  KeyedLocks::Guard guard = co_await lock;
  BERTH_CO_ASSIGN_OR_RETURN(v1::Container container, records_.Load(key));
  const std::string old = container.name();
  if (old == name) {
    co_return absl::InvalidArgumentError(
        "Renaming a container with the same name as its current name");
  }
  BERTH_CO_RETURN_IF_ERROR(table_.Rename(key, name));
  container.set_name(name);
  BERTH_CO_RETURN_IF_ERROR(records_.Save(key, container));
  Publish(key, container, "rename", {{"oldName", absl::StrCat("/", old)}});
  co_return v1::RenameContainerResponse();
}

Async<absl::StatusOr<v1::UpdateContainerResponse>> Lifecycle::Update(
    ContainerKey key, v1::UpdateContainerRequest request) {
  Await<KeyedLocks::Guard> lock(parts_.executor,
                                [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
  KeyedLocks::Guard guard = co_await lock;
  BERTH_CO_ASSIGN_OR_RETURN(v1::Container container, records_.Load(key));
  v1::HostConfig& host = *container.mutable_host_config();
  MergeResources(request.resources(), *host.mutable_resources());
  if (request.has_restart_policy()) *host.mutable_restart_policy() = request.restart_policy();
  BERTH_CO_RETURN_IF_ERROR(CheckHostConfig(host));
  BERTH_CO_RETURN_IF_ERROR(CheckAgainstHost(container.config(), host));
  const bool runs = Runs(container.state());
  if (runs && request.has_resources()) {
    BERTH_CO_ASSIGN_OR_RETURN(const oci::Json resources, ResourcesSpec(host.resources()));
    tasks::UpdateTaskRequest update;
    update.set_container_id(key.id);
    update.mutable_resources()->set_type_url(kResourcesType);
    update.mutable_resources()->set_value(resources.dump());
    AwaitCall<Empty> updating(parts_.executor, [&](auto done) {
      parts_.tasks.Update({.ns = key.ns}, update, std::move(done));
    });
    const absl::StatusOr<Empty> updated = co_await updating;
    if (!updated.ok()) co_return updated.status();
  }
  BERTH_CO_RETURN_IF_ERROR(records_.Save(key, container));
  if (runs && request.has_restart_policy()) {
    Async<absl::Status> policy = SetPolicy(key, container);
    const absl::Status set = co_await policy;
    if (!set.ok()) co_return set;
  }
  Publish(key, container, "update");
  co_return v1::UpdateContainerResponse();
}

}  // namespace berth::engine
