// What follows from the end of a task: the exit that is written down, removal, and what a daemon
// that was away finds.
#include <fcntl.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "base/os/process_identity.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/task.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/engine/lifecycle.h"
#include "server/engine/storage_limit.h"
#include "server/events/exchange.h"
#include "server/metadata/record.h"
#include "server/metadata/snapshot_store.h"
#include "server/task/task_manager.h"

namespace berth::engine {
namespace {

constexpr absl::Duration kStatusTimeout = absl::Seconds(5);
constexpr absl::Duration kReconcileLimit = absl::Seconds(15);
// Nobody saw how it ended: the machine went down, say.
constexpr uint32_t kUnknownExit = 255;

bool Runs(v1::Status status) {
  return status == v1::STATUS_RUNNING || status == v1::STATUS_PAUSED ||
         status == v1::STATUS_RESTARTING;
}

template <typename Event>
bool Unpack(const EventEnvelope& envelope, Event& event) {
  return event.ParseFromString(envelope.event().value());
}

// Docker's rule for a container that is found ended when the daemon comes up.
bool ComesBack(const v1::Container& container, bool is_new_boot) {  // NOLINT
  const std::string& policy = container.host_config().restart_policy().name();
  const v1::State& state = container.state();
  if (!state.has_started_at()) return false;
  if (policy == "always") return is_new_boot || !state.manually_stopped();
  if (policy == "unless-stopped") return !state.manually_stopped();
  if (policy != "on-failure" || state.manually_stopped() || state.exit_code() == 0) return false;
  const int limit = container.host_config().restart_policy().maximum_retry_count();
  return limit == 0 || static_cast<int>(state.restart_count()) < limit;
}

}  // namespace

void Lifecycle::OnEventsReady() {
  if (!ready_.load() || news_.fetch_add(1) > 0) return;
  parts_.executor.PostContinuation([this] { DrainEvents(); });
}

// One runs at a time: the one that took news_ from zero, until it has taken it back there.
void Lifecycle::DrainEvents() {
  while (true) {
    const int seen = news_.load();
    while (true) {
      absl::StatusOr<std::shared_ptr<const EventEnvelope>> next = subscription_->Next();
      if (!next.ok()) {
        parts_.log.Info("the engine follows task events no more", {{"error", next.status()}});
        return;  // the daemon ends, or the next one reconciles
      }
      if (*next == nullptr) break;
      Handle(**next);
    }
    if (news_.fetch_sub(seen) == seen) return;
  }
}

void Lifecycle::Handle(const EventEnvelope& envelope) {
  const std::string& ns = envelope.namespace_();
  if (envelope.topic() == "/tasks/exit") {
    containerd::events::TaskExit exit;
    if (!Unpack(envelope, exit)) return;
    const TaskEndNews end{exit.pid(), exit.exit_status(),
                          metadata::FromTimestamp(exit.exited_at())};
    if (exit.id() == exit.container_id() || exit.id().empty()) {
      engine::Begin(OnExit({ns, exit.container_id()}, end));
    } else if (on_exec_end_ != nullptr) {
      on_exec_end_({ns, exit.container_id()}, exit.id(), end);
    }
  } else if (envelope.topic() == "/tasks/start") {
    containerd::events::TaskStart start;
    if (Unpack(envelope, start)) engine::Begin(OnStarted({ns, start.container_id()}, start.pid()));
  } else if (envelope.topic() == "/tasks/oom") {
    containerd::events::TaskOOM oom;
    if (Unpack(envelope, oom)) engine::Begin(OnOom({ns, oom.container_id()}));
  } else if (envelope.topic() == "/tasks/health") {
    shim::v1::TaskHealth health;
    if (Unpack(envelope, health)) {
      engine::Begin(OnHealth({ns, health.container_id()}, static_cast<int>(health.status())));
    }
  }
}

Async<bool> Lifecycle::OnOom(ContainerKey key) {
  const auto changed = table_.ChangeState(key, [](v1::State& state) {
    state.set_oom_killed(true);
    return true;
  });
  if (!changed.ok()) co_return false;
  const auto container = records_.Load(key);
  if (container.ok()) Publish(key, *container, "oom");
  co_return true;
}

Async<bool> Lifecycle::OnHealth(ContainerKey key, int status) {
  std::string word;
  if (status == shim::v1::Health::STARTING) word = "starting";
  if (status == shim::v1::Health::HEALTHY) word = "healthy";
  if (status == shim::v1::Health::UNHEALTHY) word = "unhealthy";
  bool is_news = false;
  const auto changed = table_.ChangeState(key, [&](v1::State& state) {
    is_news = state.health() != word;
    state.set_health(word);
    return is_news;
  });
  if (!changed.ok() || !is_news) co_return false;
  const auto container = records_.Load(key);
  if (container.ok()) Publish(key, *container, absl::StrCat("health_status: ", word));
  co_return true;
}

Async<bool> Lifecycle::OnStarted(ContainerKey key, uint32_t pid) {
  Await<KeyedLocks::Guard> lock(parts_.executor,
                                [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
  KeyedLocks::Guard guard = co_await lock;
  bool is_news = false;
  const auto changed = table_.ChangeState(key, [&](v1::State& state) {
    // A start of ours is written by Start; this one is the policy's, or another client's.
    is_news = state.pid() != pid && state.status() != v1::STATUS_REMOVING;
    if (!is_news) return false;
    if (state.status() == v1::STATUS_RESTARTING) state.set_restart_count(state.restart_count() + 1);
    state.set_status(v1::STATUS_RUNNING);
    state.set_pid(pid);
    state.set_oom_killed(false);
    state.clear_error();
    *state.mutable_started_at() = metadata::ToTimestamp(absl::Now());
    return true;
  });
  if (!changed.ok() || !is_news) co_return false;
  const auto container = records_.Load(key);
  if (container.ok()) Publish(key, *container, "start");
  co_return true;
}

Async<bool> Lifecycle::OnExit(ContainerKey key, TaskEndNews end) {
  Await<KeyedLocks::Guard> lock(parts_.executor,
                                [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
  KeyedLocks::Guard guard = co_await lock;
  const auto row = table_.Get(key);
  if (!row.ok() || !Runs(row->state.status()) || row->state.pid() != end.pid) co_return false;
  Async<bool> settle = Settle(key, end);
  const bool settled = co_await settle;
  co_return settled;
}

Async<bool> Lifecycle::Settle(ContainerKey key, TaskEndNews end) {
  AwaitCall<shim::v1::GetStatusResponse> asking(parts_.executor, [&](auto done) {
    parts_.tasks.life().GetStatus({key.ns, key.id}, kStatusTimeout, std::move(done));
  });
  const StatusResponse answer = co_await asking;
  using Response = shim::v1::GetStatusResponse;
  const bool is_restarting =
      answer.ok() &&
      (answer->phase() == Response::RESTARTING ||
       ((answer->phase() == Response::RUNNING || answer->phase() == Response::PAUSED) &&
        answer->pid() != 0 && answer->pid() != end.pid));
  const auto changed = table_.ChangeState(key, [&](v1::State& state) {
    state.set_status(is_restarting ? v1::STATUS_RESTARTING : v1::STATUS_EXITED);
    state.set_pid(0);
    state.set_exit_code(static_cast<int>(end.status));
    if (answer.ok()) {
      if (answer->oom_killed()) state.set_oom_killed(true);
      if (!answer->last_start_error().empty()) state.set_error(answer->last_start_error());
    }
    *state.mutable_finished_at() = metadata::ToTimestamp(end.at);
    if (!is_restarting && !state.health().empty()) state.set_health("unhealthy");
    return true;
  });
  if (!changed.ok()) co_return false;
  const auto container = records_.Load(key);
  const ContainerEnd told{static_cast<int>(end.status), changed->error()};
  if (container.ok()) {
    Publish(key, *container, "die", {{"exitCode", absl::StrCat(end.status)}});
  }
  if (is_restarting) {
    waiters_.TellExit(key, told);
    co_return true;
  }
  waiters_.TellExit(key, told);
  Async<absl::Status> deletion = DeleteTask(key);
  const absl::Status deleted = co_await deletion;
  if (!deleted.ok()) {
    parts_.log.Warning("ignoring that a task which ended stays: its next start removes it",
                       {{"namespace", key.ns}, {"container", key.id}, {"error", deleted}});
  }
  bool restarts_now = false;
  {
    MutexLock lock(&restarting_mutex_);
    restarts_now = restarting_.contains(key);
  }
  if (container.ok() && container->host_config().auto_remove() && !restarts_now) {
    Async<absl::Status> removal = RemoveAll(key, *container, true);
    const absl::Status removed = co_await removal;
    if (!removed.ok()) {
      parts_.log.Error("a container that was to be removed at its end stays",
                       {{"namespace", key.ns}, {"container", key.id}, {"error", removed}});
    }
  }
  co_return true;
}

Async<absl::StatusOr<v1::RemoveContainerResponse>> Lifecycle::Remove(
    ContainerKey key, v1::RemoveContainerRequest request) {
  for (int attempt = 0;; ++attempt) {
    {
      Await<KeyedLocks::Guard> lock(parts_.executor,
                                    [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
      KeyedLocks::Guard guard = co_await lock;
      BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, records_.Load(key));
      if (!Runs(container.state().status())) {
        Async<absl::Status> removal = RemoveAll(key, container, request.remove_volumes());
        const absl::Status removed = co_await removal;
        if (!removed.ok()) co_return removed;
        v1::RemoveContainerResponse response;
        response.set_id(key.id);
        co_return response;
      }
      if (!request.force()) {
        const bool paused = container.state().status() == v1::STATUS_PAUSED;
        co_return absl::FailedPreconditionError(
            absl::StrCat("cannot remove container \"/", container.name(), "\": container is ",
                         paused ? "paused and must be unpaused first"
                                : "running: stop the container before removing or force remove"));
      }
      if (attempt > 2) {
        co_return absl::UnavailableError(
            absl::StrCat("container ", key.id, " is started again and again"));
      }
    }
    // Without the lock: the exit's handling needs it.
    Async<absl::Status> mark = MarkStopped(key);
    const absl::Status marked = co_await mark;
    marked.IgnoreError();  // a shim that does not answer is killed next
    Async<absl::Status> kill = KillAndAwait(key);
    const absl::Status killed = co_await kill;
    if (!killed.ok()) co_return killed;
    const auto row = table_.Get(key);
    if (absl::IsNotFound(row.status())) {
      // --rm was faster.
      v1::RemoveContainerResponse response;
      response.set_id(key.id);
      co_return response;
    }
  }
}

Async<absl::Status> Lifecycle::RemoveAll(ContainerKey key, v1::Container container,
                                         bool with_volumes) {
  BERTH_CO_RETURN_IF_ERROR(table_.ChangeState(key, [](v1::State& state) {
    state.set_status(v1::STATUS_REMOVING);
    return true;
  }));
  Async<absl::Status> deletion = DeleteTask(key);
  const absl::Status deleted = co_await deletion;
  if (!deleted.ok()) co_return deleted;
  const metadata::Caller caller{key.ns};
  if (container.host_config().storage_options_size() > 0) {
    const auto mounts = parts_.snapshots.GetMounts(caller, container.snapshotter(), key.id);
    if (mounts.ok() && !mounts->empty()) {
      ClearStorageLimit(DirectoriesOfLayer((*mounts)[0].type, (*mounts)[0].options));
    }
  }
  // The record first: what is left after a crash here has no name and goes by itself.
  BERTH_CO_RETURN_IF_ERROR(records_.Delete(key));
  const absl::Status snapshot = parts_.snapshots.Remove(caller, container.snapshotter(), key.id);
  for (const v1::MountPoint& point : container.mounts()) {
    if (with_volumes && point.anonymous()) {
      volumes_.Remove(key.ns, point.name()).IgnoreError();  // another container uses it
    }
  }
  const auto parent =
      OpenFile(absl::StrCat(parts_.root, "/containers/", key.ns), O_RDONLY | O_DIRECTORY);
  if (parent.ok()) RemoveTreeAt(*parent, key.id).IgnoreError();  // the next start sweeps
  const auto shm = OpenFile(absl::StrCat(parts_.state, "/shm/", key.ns), O_RDONLY | O_DIRECTORY);
  if (shm.ok()) RemoveTreeAt(*shm, key.id).IgnoreError();
  Publish(key, container, "destroy");
  waiters_.TellRemoval(key, {container.state().exit_code(), container.state().error()});
  if (!snapshot.ok() && !absl::IsNotFound(snapshot)) co_return snapshot;
  co_return absl::OkStatus();
}

Async<bool> Lifecycle::ReconcileOne(ContainerKey key, v1::State state, bool is_new_boot) {
  Await<KeyedLocks::Guard> lock(parts_.executor,
                                [&](auto taken) { locks_.Acquire(key, std::move(taken)); });
  KeyedLocks::Guard guard = co_await lock;
  auto container = records_.Load(key);
  if (!container.ok()) co_return false;
  if (container->state().status() == v1::STATUS_REMOVING) {
    Async<absl::Status> removal = RemoveAll(key, *container, true);
    const absl::Status removed = co_await removal;
    co_return removed.ok();
  }
  if (!Runs(container->state().status())) {
    if (state.status() == container->state().status()) {
      Async<absl::Status> deletion = DeleteTask(key);
      const absl::Status deleted = co_await deletion;
      deleted.IgnoreError();  // the next start tries again
    }
    if (container->host_config().auto_remove() &&
        container->state().status() == v1::STATUS_EXITED) {
      Async<absl::Status> removal = RemoveAll(key, *container, true);
      const absl::Status removed = co_await removal;
      co_return removed.ok();
    }
    co_return true;
  }
  AwaitCall<shim::v1::GetStatusResponse> asking(parts_.executor, [&](auto done) {
    parts_.tasks.life().GetStatus({key.ns, key.id}, kStatusTimeout, std::move(done));
  });
  const StatusResponse answer = co_await asking;
  using Response = shim::v1::GetStatusResponse;
  if (answer.ok()) {
    if (answer->phase() == Response::STOPPED) {
      TaskEndNews end{answer->last_exit().pid(), answer->last_exit().status(),
                      metadata::FromTimestamp(answer->last_exit().at())};
      Async<bool> settle = Settle(key, end);
      const bool settled = co_await settle;
      co_return settled;
    }
    const auto changed = table_.ChangeState(key, [&](v1::State& now) {
      const bool restarting = answer->phase() == Response::RESTARTING;
      const v1::Status status = restarting                            ? v1::STATUS_RESTARTING
                                : answer->phase() == Response::PAUSED ? v1::STATUS_PAUSED
                                                                      : v1::STATUS_RUNNING;
      now.set_status(status);
      now.set_pid(restarting ? 0 : answer->pid());
      now.set_restart_count(answer->restarts());
      if (answer->has_started_at()) *now.mutable_started_at() = answer->started_at();
      if (answer->has_last_exit()) {
        now.set_exit_code(restarting ? static_cast<int>(answer->last_exit().status()) : 0);
        *now.mutable_finished_at() = answer->last_exit().at();
      }
      return true;
    });
    co_return changed.ok();
  }
  if (!absl::IsNotFound(answer.status())) co_return false;  // the end of a lost shim comes as news
  Async<bool> settle = Settle(key, {container->state().pid(), kUnknownExit, absl::Now()});
  co_await settle;
  co_return true;
}

Async<bool> Lifecycle::ReconcileAll(bool is_new_boot) {
  const auto all = table_.ListStates();
  if (!all.ok()) co_return false;
  for (const auto& [key, state] : *all) {
    // Of 10,000 that do not run none is asked: their tasks were removed at their end.
    const bool unfinished = Runs(state.status()) || state.status() == v1::STATUS_REMOVING ||
                            (state.status() == v1::STATUS_CREATED && state.has_started_at());
    if (!unfinished) continue;
    Async<bool> one = ReconcileOne(key, state, is_new_boot);
    co_await one;
  }
  co_return true;
}

void Lifecycle::StartThoseThatComeBack(bool is_new_boot) {
  const auto all = table_.ListStates();
  if (!all.ok()) return;
  for (const auto& [key, state] : *all) {
    if (state.status() != v1::STATUS_EXITED) continue;
    const auto container = records_.Load(key);
    if (!container.ok() || !ComesBack(*container, is_new_boot)) continue;
    absl::AnyInvocable<void(absl::StatusOr<v1::StartContainerResponse>)> done =
        [this, key = key](const absl::StatusOr<v1::StartContainerResponse>& started) {
          if (started.ok()) return;
          parts_.log.Error(
              "a container did not come back",
              {{"namespace", key.ns}, {"container", key.id}, {"error", started.status()}});
        };
    engine::Begin(Start(key, {}), std::move(done));
  }
}

void Lifecycle::Begin(std::shared_ptr<Subscription> subscription) {
  subscription_ = std::move(subscription);
  ready_.store(true);
  OnEventsReady();
  const absl::StatusOr<std::string> boot = ReadBootId();
  const std::string path = absl::StrCat(parts_.root, "/containers/boot");
  const absl::StatusOr<std::string> last = ReadFile(path, 100);
  const bool is_new_boot = boot.ok() && last.ok() && *last != *boot;
  auto over = std::make_shared<Notification>();
  absl::AnyInvocable<void(bool)> done = [over](bool) { over->Notify(); };
  parts_.executor.PostContinuation([this, is_new_boot, done = std::move(done)]() mutable {
    engine::Begin(ReconcileAll(is_new_boot), std::move(done));
  });
  if (!over->WaitForNotificationWithTimeout(kReconcileLimit)) {
    parts_.log.Warning("serving although some containers are still being looked at");
  }
  if (boot.ok()) {
    EnsureDirectory(parts_.root + "/containers", 0711).IgnoreError();
    ReplaceFileAt(BorrowedFd(AT_FDCWD), path, *boot, 0600, Durability::kUnsynced).IgnoreError();
  }
  StartThoseThatComeBack(is_new_boot);
}

}  // namespace berth::engine
