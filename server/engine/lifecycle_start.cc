#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/status/status_macros.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/engine/exit_code.h"
#include "server/engine/lifecycle.h"
#include "server/engine/log_options.h"
#include "server/engine/spec_builder.h"
#include "server/metadata/record.h"
#include "server/metadata/snapshot_store.h"
#include "server/task/task_manager.h"

namespace berth::engine {
namespace {

namespace tasks = containerd::services::tasks::v1;

constexpr absl::Duration kPolicyTimeout = absl::Seconds(10);

shim::v1::RestartPolicy PolicyOf(const v1::Container& container, const std::string& log_target) {
  const v1::RestartPolicy& policy = container.host_config().restart_policy();
  shim::v1::RestartPolicy result;
  if (policy.name() == "on-failure") {
    result.set_mode(shim::v1::RestartPolicy::ON_FAILURE);
    result.set_maximum_retries(static_cast<uint32_t>(policy.maximum_retry_count()));
  } else if (policy.name() == "always") {
    result.set_mode(shim::v1::RestartPolicy::ALWAYS);
  } else if (policy.name() == "unless-stopped") {
    result.set_mode(shim::v1::RestartPolicy::UNLESS_STOPPED);
  }
  result.mutable_later_stdio()->set_stdout(log_target);
  if (!container.config().terminal()) result.mutable_later_stdio()->set_stderr(log_target);
  if (container.config().open_stdin()) result.mutable_later_stdio()->set_stdin("berth-attach://");
  return result;
}

}  // namespace

std::string Lifecycle::LogTarget(const v1::Container& container) const {
  return LogTargetOf(container);
}

Async<absl::StatusOr<v1::StartContainerResponse>> Lifecycle::Start(
    ContainerKey key, v1::StartContainerRequest request) {
  Await<KeyedLocks::Guard> lock(parts_.executor,
                                [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
  KeyedLocks::Guard guard = co_await lock;
  BERTH_CO_ASSIGN_OR_RETURN(v1::Container container, records_.Load(key));
  v1::StartContainerResponse response;
  switch (container.state().status()) {
    case v1::STATUS_RUNNING:
    case v1::STATUS_RESTARTING:
      response.set_already_running(true);
      response.set_pid(container.state().pid());
      co_return response;
    case v1::STATUS_PAUSED:
      co_return absl::FailedPreconditionError(
          "cannot start a paused container, try unpause instead");
    case v1::STATUS_REMOVING:
    case v1::STATUS_DEAD:
      co_return absl::FailedPreconditionError(
          "container is marked for removal and cannot be started");
    default:
      break;
  }
  Async<absl::Status> launch =
      Launch(key, container, request.terminal_columns(), request.terminal_rows());
  const absl::Status launched = co_await launch;
  if (launched.ok()) {
    const auto row = table_.Get(key);
    if (row.ok()) response.set_pid(row->state.pid());
    co_return response;
  }
  const int exit_code =
      ExitCodeOfStart(launched, container.arguments().empty() ? "" : container.arguments(0));
  table_
      .ChangeState(key,
                   [&](v1::State& state) {
                     state.set_error(std::string(launched.message()));
                     state.set_exit_code(exit_code);
                     state.set_pid(0);
                     return true;
                   })
      .IgnoreError();  // the start's error is the one to tell
  waiters_.TellExit(key, {exit_code, std::string(launched.message())});
  if (container.host_config().auto_remove()) {
    Async<absl::Status> removal = RemoveAll(key, container, true);
    const absl::Status removed = co_await removal;
    removed.IgnoreError();
  }
  co_return WithExitCode(launched, exit_code);
}

Async<absl::Status> Lifecycle::Launch(ContainerKey key, v1::Container container, uint32_t columns,
                                      uint32_t rows) {
  Async<absl::Status> creation = CreateTask(key, container, columns, rows);
  absl::Status status = co_await creation;
  if (!status.ok()) {
    ReleaseVolumes(key);
    co_return status;
  }
  Async<absl::Status> policy = SetPolicy(key, container);
  status = co_await policy;
  if (status.ok() && on_task_created_ != nullptr) {
    Await<bool> attached(parts_.executor, [&](auto done) {
      on_task_created_(key, [done = std::move(done)]() mutable { done(true); });
    });
    co_await attached;
  }
  uint32_t pid = 0;
  if (status.ok()) {
    tasks::StartRequest start;
    start.set_container_id(key.id);
    AwaitCall<tasks::StartResponse> started(parts_.executor, [&](auto done) {
      parts_.tasks.Start({.ns = key.ns}, start, std::move(done));
    });
    const absl::StatusOr<tasks::StartResponse> answer = co_await started;
    status = answer.status();
    if (answer.ok()) pid = answer->pid();
  }
  if (!status.ok()) {
    Async<absl::Status> deletion = DeleteTask(key);
    const absl::Status deleted = co_await deletion;
    deleted.IgnoreError();  // Reconcile's
    co_return status;
  }
  const auto changed = table_.ChangeState(key, [&](v1::State& state) {
    state.set_status(v1::STATUS_RUNNING);
    state.set_pid(pid);
    state.set_exit_code(0);
    state.clear_error();
    state.set_oom_killed(false);
    state.set_manually_stopped(false);
    state.set_restart_count(0);
    state.set_health(container.config().has_healthcheck() &&
                             container.config().healthcheck().test(0) != "NONE"
                         ? "starting"
                         : "");
    *state.mutable_started_at() = metadata::ToTimestamp(absl::Now());
    return true;
  });
  BERTH_CO_RETURN_IF_ERROR(changed);
  Publish(key, container, "start");
  co_return absl::OkStatus();
}

Async<absl::Status> Lifecycle::CreateTask(ContainerKey key, v1::Container container,
                                          uint32_t columns, uint32_t rows) {
  if (absl::Status files = WriteContainerFiles(key, container); !files.ok()) co_return files;
  // What was asked for when it was created counts as well: a joined container may have another pid.
  v1::Container starting = container;
  starting.mutable_state()->set_status(v1::STATUS_RUNNING);
  BERTH_CO_ASSIGN_OR_RETURN(SpecInput input, MakeSpecInput(key, starting));
  input.terminal_columns = columns;
  input.terminal_rows = rows;
  BERTH_CO_ASSIGN_OR_RETURN(const oci::Json spec, BuildSpec(input));
  BERTH_CO_RETURN_IF_ERROR(records_.SaveSpec(key, spec.dump()));
  BERTH_CO_ASSIGN_OR_RETURN(
      const auto mounts,
      parts_.snapshots.GetMounts(metadata::Caller{key.ns}, container.snapshotter(), key.id));
  tasks::CreateTaskRequest request;
  request.set_container_id(key.id);
  for (const snapshots::Mount& mount : mounts) {
    containerd::types::Mount& message = *request.add_rootfs();
    message.set_type(mount.type);
    message.set_source(mount.source);
    message.set_target(mount.target);
    message.mutable_options()->Assign(mount.options.begin(), mount.options.end());
  }
  request.set_terminal(container.config().terminal());
  const std::string target = LogTarget(container);
  request.set_stdout(target);
  if (!container.config().terminal()) request.set_stderr(target);
  if (container.config().open_stdin()) {
    request.set_stdin(container.config().stdin_once() ? "berth-attach://?once=true"
                                                      : "berth-attach://");
  }
  for (int attempt = 0;; ++attempt) {
    // Each time: a deletion lets them go.
    for (const v1::MountPoint& point : container.mounts()) {
      if (point.type() != v1::Mount::TYPE_VOLUME) continue;
      if (absl::Status held = volumes_.Hold(key, point.name()); !held.ok()) co_return held;
    }
    AwaitCall<tasks::CreateTaskResponse> created(parts_.executor, [&](auto done) {
      parts_.tasks.Create({.ns = key.ns}, request, std::move(done));
    });
    const absl::StatusOr<tasks::CreateTaskResponse> answer = co_await created;
    if (!absl::IsAlreadyExists(answer.status()) || attempt > 0) co_return answer.status();
    // What a daemon that was killed left of an earlier run.
    Async<absl::Status> deletion = DeleteTask(key);
    const absl::Status deleted = co_await deletion;
    if (!deleted.ok()) co_return deleted;
  }
}

Async<absl::Status> Lifecycle::SetPolicy(ContainerKey key, v1::Container container) {
  shim::v1::SetPolicyRequest request;
  *request.mutable_restart() = PolicyOf(container, LogTarget(container));
  BERTH_CO_ASSIGN_OR_RETURN(const SpecInput input, MakeSpecInput(key, container));
  BERTH_CO_ASSIGN_OR_RETURN(const oci::Json process, BuildHealthProcess(input));
  if (!process.is_null()) {
    const v1::Healthcheck& check = container.config().healthcheck();
    shim::v1::HealthCheck& health = *request.mutable_health();
    health.set_process_json(process.dump());
    if (check.has_interval()) *health.mutable_interval() = check.interval();
    if (check.has_timeout()) *health.mutable_timeout() = check.timeout();
    if (check.has_start_period()) *health.mutable_start_period() = check.start_period();
    if (check.has_start_interval()) *health.mutable_start_interval() = check.start_interval();
    health.set_retries(static_cast<uint32_t>(check.retries()));
  }
  const bool asks = request.restart().mode() != shim::v1::RestartPolicy::NO || request.has_health();
  AwaitCall<shim::v1::SetPolicyResponse> set(parts_.executor, [&](auto done) {
    parts_.tasks.life().SetPolicy({key.ns, key.id}, request, kPolicyTimeout, std::move(done));
  });
  const absl::StatusOr<shim::v1::SetPolicyResponse> answer = co_await set;
  // Another shim has no policies; that matters only where there is one.
  if (absl::IsUnimplemented(answer.status()) && !asks) co_return absl::OkStatus();
  co_return answer.status();
}

void Lifecycle::ReleaseVolumes(const ContainerKey& key) {
  const absl::Status released = volumes_.Release(key);
  if (released.ok()) return;
  parts_.log.Warning("ignoring that a volume of a container that ended stays mounted",
                     {{"namespace", key.ns}, {"container", key.id}, {"error", released}});
}

Async<absl::Status> Lifecycle::DeleteTask(ContainerKey key) {
  for (int attempt = 0;; ++attempt) {
    tasks::DeleteTaskRequest request;
    request.set_container_id(key.id);
    AwaitCall<tasks::DeleteResponse> deletion(parts_.executor, [&](auto done) {
      parts_.tasks.Delete({.ns = key.ns}, request, std::move(done));
    });
    const absl::StatusOr<tasks::DeleteResponse> answer = co_await deletion;
    if (answer.ok() || absl::IsNotFound(answer.status())) {
      ReleaseVolumes(key);
      co_return absl::OkStatus();
    }
    if (!absl::IsFailedPrecondition(answer.status()) || attempt > 0) co_return answer.status();
    Async<absl::Status> kill = Signal(key, 9);
    const absl::Status killed = co_await kill;
    killed.IgnoreError();  // the second deletion tells
    tasks::WaitRequest wait;
    wait.set_container_id(key.id);
    AwaitCall<tasks::WaitResponse> end(parts_.executor, [&](auto done) {
      parts_.tasks.Wait({.ns = key.ns, .deadline = absl::Now() + absl::Seconds(10)}, wait,
                        std::move(done));
    });
    const absl::StatusOr<tasks::WaitResponse> ended = co_await end;
    ended.status().IgnoreError();
  }
}

}  // namespace berth::engine
