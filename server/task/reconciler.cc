#include "server/task/reconciler.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "proto/containerd/events/task.pb.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/time_proto.h"

namespace berth {
namespace {

// Docker's status for a container whose end nobody saw.
constexpr uint32_t kUnknownStatus = 255;

// Its presence in a bundle: a daemon has published the ends that the shim had not told. A daemon
// that is killed before the bundle is gone leaves word by it, and its successor tells nothing
// again.
std::string MarkOfNews(const std::string& bundle) { return bundle + "/announced"; }

ProcessExit FromRecord(const journal::ProcessRecord& record) {
  return {.exec_id = record.exec_id,
          .pid = static_cast<uint32_t>(std::max(record.process.pid, 0)),
          .status = record.exit_status,
          .at = record.exited_at};
}

bool HasEnded(const journal::ProcessRecord& record) {
  return record.stage == journal::Stage::kExited || record.stage == journal::Stage::kDeleted;
}

}  // namespace

struct Reconciler::Job {
  Bundle bundle;
  Callbacks callbacks;
  std::optional<journal::State> journal;
  std::optional<ProcessExit> deleted;  // what the `delete` command reported
  bool delete_done = false;            // or not needed
  bool told_before = false;            // by an earlier daemon
  bool announced = false;
  int failures = 0;
};

Reconciler::Reconciler(Loop& loop, Executor& executor, const BundleStore& bundles,
                       const ShimLauncher& launcher, CommandRunner& commands, EventSink& events,
                       const Logger& log, Options options)
    : loop_(loop),
      executor_(executor),
      bundles_(bundles),
      launcher_(launcher),
      commands_(commands),
      events_(events),
      log_(log),
      options_(options) {}

Reconciler::~Reconciler() { *alive_ = false; }

void Reconciler::Clean(Bundle bundle, Callbacks callbacks) {
  auto job = std::make_shared<Job>();
  job->bundle = std::move(bundle);
  job->callbacks = std::move(callbacks);
  executor_.PostContinuation([this, alive = alive_, loop = &loop_, job]() mutable {
    auto journal = journal::ReadJournal(job->bundle.path);
    job->told_before = job->bundle.announcer == Bundle::Announcer::kUs &&
                       ::access(MarkOfNews(job->bundle.path).c_str(), F_OK) == 0;
    loop->Post([this, alive, job = std::move(job), journal = std::move(journal)]() mutable {
      if (*alive) OnJournal(job, std::move(journal));
    });
  });
}

void Reconciler::OnJournal(const JobPtr& job, absl::StatusOr<journal::State> journal) {
  const bool foreign = !job->bundle.foreign_binary.empty();
  if (journal.ok()) {
    job->journal = *std::move(journal);
    // Another boot: the kernel has forgotten it all. Before kCreating nothing was made.
    const journal::Stage stage = job->journal->init.stage;
    job->delete_done = !job->journal->this_boot || stage == journal::Stage::kDeleted ||
                       stage < journal::Stage::kCreating;
  } else if (!foreign && absl::IsNotFound(journal.status())) {
    job->delete_done = true;  // the shim never came to its first act
  } else if (!foreign) {
    log_.Warning("ignoring a task's unreadable journal", {{"namespace", job->bundle.key.ns},
                                                          {"container", job->bundle.key.id},
                                                          {"error", journal.status()}});
  }
  job->delete_done ? Settle(job) : RunDelete(job);
}

void Reconciler::RunDelete(const JobPtr& job) {
  commands_.Run(
      launcher_.DeleteCommand(job->bundle.key, job->bundle.path, job->bundle.foreign_binary), "",
      options_.delete_timeout, [this, alive = alive_, job](absl::StatusOr<CommandResult> result) {
        if (*alive) OnDeleteEnded(job, std::move(result));
      });
}

void Reconciler::OnDeleteEnded(const JobPtr& job, absl::StatusOr<CommandResult> result) {
  absl::Status failure = result.status();
  if (result.ok() && result->exit.ExitCode() != 0) {
    failure = absl::InternalError(
        absl::StrCat("it ended with ", result->exit.ExitCode(), ": ", result->errors));
  }
  containerd::task::v2::DeleteResponse response;
  if (failure.ok() && !response.ParseFromString(result->output)) {
    failure = absl::InternalError("what it printed is no DeleteResponse");
  }
  if (!failure.ok()) {
    return Retry(job,
                 absl::Status(failure.code(),
                              absl::StrCat("the shim's delete command: ", failure.message())),
                 [this](const JobPtr& again) { RunDelete(again); });
  }
  job->deleted = ProcessExit{.exec_id = "",
                             .pid = response.pid(),
                             .status = response.exit_status(),
                             .at = FromTimestamp(response.exited_at())};
  job->delete_done = true;
  Settle(job);
}

// The end is told once; later rounds only remove.
void Reconciler::Settle(const JobPtr& job) {
  if (!std::exchange(job->announced, true)) {
    TaskEnd end;
    const journal::State* journal = job->journal.has_value() ? &*job->journal : nullptr;
    end.existed = journal != nullptr ? journal->init.stage >= journal::Stage::kCreated
                                     : job->bundle.foreign_task_existed;
    if (journal != nullptr) end.init = FromRecord(journal->init);
    if (journal == nullptr || !HasEnded(journal->init)) {
      const uint32_t known_pid = end.init.pid;
      end.init = job->deleted.value_or(
          ProcessExit{.exec_id = "", .pid = 0, .status = kUnknownStatus, .at = absl::Now()});
      if (known_pid != 0) end.init.pid = known_pid;
      if (end.init.at == absl::UnixEpoch()) end.init.at = absl::Now();
    }
    if (journal != nullptr) {
      for (const journal::ProcessRecord& exec : journal->execs) {
        if (exec.stage < journal::Stage::kRunning) continue;
        ProcessExit exit = FromRecord(exec);
        if (!HasEnded(exec)) {  // it died with its container
          exit.status = end.init.status;
          exit.at = end.init.at;
        }
        end.execs.push_back(std::move(exit));
      }
    }
    if (job->bundle.announcer == Bundle::Announcer::kUs && !job->told_before) {
      Announce(*job, end);
      // Where it cannot be made, a successor may tell it twice.
      OpenFile(MarkOfNews(job->bundle.path), O_WRONLY | O_CREAT, 0600).status().IgnoreError();
    }
    if (job->callbacks.on_end) job->callbacks.on_end(end);
  }
  job->delete_done ? RemoveBundle(job) : RunDelete(job);
}

void Reconciler::PublishDelete(const TaskKey& key, const ProcessExit& init) const {
  containerd::events::TaskDelete event;
  event.set_container_id(key.id);
  event.set_pid(init.pid);
  event.set_exit_status(init.status);
  *event.mutable_exited_at() = ToTimestamp(init.at);
  events_.Publish(key.ns, "/tasks/delete", event);
}

void Reconciler::Announce(const Job& job, const TaskEnd& end) const {
  const TaskKey& key = job.bundle.key;
  const auto publish_exit = [&](const ProcessExit& exit) {
    containerd::events::TaskExit event;
    event.set_container_id(key.id);
    event.set_id(exit.exec_id.empty() ? key.id : exit.exec_id);
    event.set_pid(exit.pid);
    event.set_exit_status(exit.status);
    *event.mutable_exited_at() = ToTimestamp(exit.at);
    events_.Publish(key.ns, "/tasks/exit", event);
  };
  const auto announced = [&](const std::string& exec_id) {
    return job.journal.has_value() &&
           std::any_of(job.journal->execs.begin(), job.journal->execs.end(),
                       [&](const journal::ProcessRecord& record) {
                         return record.exec_id == exec_id && record.exit_announced;
                       });
  };
  if (job.journal.has_value()) {
    for (const journal::ProcessRecord& earlier : job.journal->generations) {
      if (!earlier.exit_announced) publish_exit(FromRecord(earlier));
      if (!earlier.delete_announced) PublishDelete(key, FromRecord(earlier));
    }
  }
  // The latest generation may have been on its way only, with nothing that anybody knows of.
  if (!end.existed) return;
  for (const ProcessExit& exec : end.execs) {
    if (!announced(exec.exec_id)) publish_exit(exec);
  }
  if (!job.journal.has_value() || !job.journal->init.exit_announced) publish_exit(end.init);
  if (job.journal.has_value() && job.journal->init.delete_announced) return;
  PublishDelete(key, end.init);
}

void Reconciler::RemoveBundle(const JobPtr& job) {
  executor_.PostContinuation(
      [this, alive = alive_, loop = &loop_, log = &log_, job, bundles = &bundles_] {
        // The socket first: the bundle is what the next daemon would find it by.
        if (!job->bundle.socket_path.empty()) ::unlink(job->bundle.socket_path.c_str());
        const absl::StatusOr<HiddenBundle> hidden = bundles->Hide(job->bundle.key);
        loop->Post([this, alive, loop_job = job, removed = hidden.status()]() mutable {
          if (!*alive) return;
          if (!removed.ok()) {
            return Retry(loop_job, removed, [this](const JobPtr& again) { RemoveBundle(again); });
          }
          if (loop_job->callbacks.on_removed) loop_job->callbacks.on_removed();
        });
        // The name is free, and nobody waits for the files to go.
        if (!hidden.ok()) return;
        const absl::Status discarded = bundles->Discard(*hidden);
        if (discarded.ok()) return;
        log->Warning("ignoring that a bundle's files remain; the next start tries again",
                     {{"error", discarded}});
      });
}

void Reconciler::Retry(const JobPtr& job, const absl::Status& reason,
                       absl::AnyInvocable<void(const JobPtr&)> step) {
  ++job->failures;
  absl::Duration pause = options_.first_retry;
  for (int i = 1; i < job->failures && pause < options_.last_retry; ++i) pause *= 2;
  pause = std::min(pause, options_.last_retry);
  log_.Error("a container's remains could not be removed; trying again",
             {{"namespace", job->bundle.key.ns},
              {"container", job->bundle.key.id},
              {"attempt", job->failures},
              {"pause", pause},
              {"error", reason}});
  const bool announce_now = !job->announced && job->failures >= options_.attempts_before_announcing;
  loop_.After(pause, [this, alive = alive_, job, announce_now, step = std::move(step)]() mutable {
    if (!*alive) return;
    // Who waits for the exit is told even if the remains stay; Settle then goes on with the work.
    announce_now ? Settle(job) : step(job);
  });
}

}  // namespace berth
