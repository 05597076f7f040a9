#include "server/task/restart_monitor.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "server/metadata/record.h"
#include "server/metadata/schema.h"
#include "server/task/restart_labels.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;

constexpr char kStatus[] = "containerd.io/restart.status";
constexpr char kCount[] = "containerd.io/restart.count";

}  // namespace

struct RestartMonitor::Round {
  std::vector<Labelled> found;
  size_t next = 0;
};

void RestartMonitor::Start() { Look(); }

void RestartMonitor::Look() {
  parts_.executor.PostContinuation([self = shared_from_this()] {
    if (self->stopped_.load()) return;
    auto found = self->Find();
    if (!found.ok()) {
      self->parts_.log.Warning("ignoring that labelled containers cannot be listed",
                               {{"error", found.status()}});
      return self->LookAgainLater();
    }
    auto round = std::make_shared<Round>();
    round->found = *std::move(found);
    self->Next(round);
  });
}

void RestartMonitor::LookAgainLater() {
  parts_.loop.Post([self = shared_from_this()] {
    if (self->stopped_.load()) return;
    self->parts_.loop.After(self->options_.interval, [self] { self->Look(); });
  });
}

// The label's name stands in the record as it is: no record without it is read, and the index
// knows which those are.
absl::StatusOr<std::vector<RestartMonitor::Labelled>> RestartMonitor::Find() {
  std::vector<std::pair<std::string, std::string>> keys;
  BERTH_RETURN_IF_ERROR(parts_.database.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                           connection.Prepare(absl::StrCat("SELECT ns, id FROM containers WHERE ",
                                                           metadata::kHasRestartStatus)));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      keys.emplace_back(std::string(row.ColumnText(0)), std::string(row.ColumnText(1)));
    }
  }));
  std::vector<Labelled> found;
  for (auto& [ns, id] : keys) {
    auto container = parts_.containers.Get({.ns = ns}, id);
    if (!container.ok()) continue;  // removed meanwhile
    const absl::Time written = metadata::FromTimestamp(container->updated_at());
    if (absl::Now() - written < options_.settled) continue;
    found.push_back({std::move(ns), *std::move(container)});
  }
  return found;
}

TaskCall RestartMonitor::CallFor(const Labelled& one) const {
  return {.ns = one.ns, .deadline = absl::Now() + options_.call_timeout};
}

void RestartMonitor::Next(const RoundPtr& round) {
  if (stopped_.load()) return;
  if (round->next == round->found.size()) return LookAgainLater();
  const Labelled& one = round->found[round->next++];
  api::GetRequest request;
  request.set_container_id(one.container.id());
  parts_.tasks.Get(
      CallFor(one), request,
      [self = shared_from_this(), round, &one](absl::StatusOr<api::GetResponse> answer) {
        const auto status = one.container.labels().find(kStatus);
        const bool wanted = status != one.container.labels().end() && status->second == "running";
        const bool unwanted = status != one.container.labels().end() && status->second == "stopped";
        if (absl::IsNotFound(answer.status()) && wanted) {
          return self->Begin(round, one);
        }
        if (answer.ok() && wanted) return self->Count(round, one);
        const bool runs =
            answer.ok() && answer->process().status() != containerd::v1::types::STOPPED;
        if (runs && unwanted) return self->End(round, one);
        self->Next(round);
      });
}

absl::StatusOr<api::CreateTaskRequest> RestartMonitor::CreationOf(const Labelled& one) const {
  api::CreateTaskRequest request;
  request.set_container_id(one.container.id());
  if (!one.container.snapshot_key().empty()) {
    BERTH_ASSIGN_OR_RETURN(const auto mounts,
                           parts_.snapshots.GetMounts({.ns = one.ns}, one.container.snapshotter(),
                                                      one.container.snapshot_key()),
                           _ << "its snapshot");
    for (const snapshots::Mount& mount : mounts) {
      auto& added = *request.add_rootfs();
      added.set_type(mount.type);
      added.set_source(mount.source);
      added.set_target(mount.target);
      for (const std::string& option : mount.options) added.add_options(option);
    }
  }
  return request;
}

// After a boot, or when its client only made the container. An on-failure policy has no failure to
// go by then.
void RestartMonitor::Begin(const RoundPtr& round, const Labelled& one) {
  const Labels labels(one.container.labels().begin(), one.container.labels().end());
  const auto policy = PolicyOfLabels(labels);
  if (!policy.has_value() || policy->explicitly_stopped() ||
      policy->restart().mode() == shim::v1::RestartPolicy::ON_FAILURE) {
    return Next(round);
  }
  parts_.executor.PostContinuation([self = shared_from_this(), round, &one, policy] {
    if (self->stopped_.load()) return;
    auto request = self->CreationOf(one);
    if (!request.ok()) return self->Finish(round, one, "start", request.status());
    request->set_stdout(policy->restart().later_stdio().stdout());
    request->set_stderr(policy->restart().later_stdio().stderr());
    self->parts_.tasks.Create(
        self->CallFor(one), *request,
        [self, round, &one](absl::StatusOr<api::CreateTaskResponse> created) {
          if (!created.ok()) return self->Finish(round, one, "create", created.status());
          api::StartRequest start;
          start.set_container_id(one.container.id());
          self->parts_.tasks.Start(self->CallFor(one), start,
                                   [self, round, &one](absl::StatusOr<api::StartResponse> started) {
                                     self->Finish(round, one, "start", started.status());
                                   });
        });
  });
}

void RestartMonitor::End(const RoundPtr& round, const Labelled& one) {
  api::KillRequest kill;
  kill.set_container_id(one.container.id());
  kill.set_signal(SIGKILL);
  kill.set_all(true);
  parts_.tasks.Kill(
      CallFor(one), kill,
      [self = shared_from_this(), round, &one](absl::StatusOr<google::protobuf::Empty> killed) {
        if (!killed.ok()) return self->Finish(round, one, "stop", killed.status());
        api::WaitRequest wait;
        wait.set_container_id(one.container.id());
        self->parts_.tasks.Wait(
            self->CallFor(one), wait, [self, round, &one](absl::StatusOr<api::WaitResponse> ended) {
              if (!ended.ok()) return self->Finish(round, one, "stop", ended.status());
              api::DeleteTaskRequest remove;
              remove.set_container_id(one.container.id());
              self->parts_.tasks.Delete(
                  self->CallFor(one), remove,
                  [self, round, &one](absl::StatusOr<api::DeleteResponse> removed) {
                    self->Finish(round, one, "stop", removed.status());
                  });
            });
      });
}

void RestartMonitor::Count(const RoundPtr& round, const Labelled& one) {
  parts_.tasks.life().GetStatus(
      {one.ns, one.container.id()}, options_.call_timeout,
      [self = shared_from_this(), round, &one](absl::StatusOr<shim::v1::GetStatusResponse> status) {
        // A foreign shim counts nothing.
        if (!status.ok() || status->restarts() == 0) return self->Next(round);
        const std::string count = absl::StrCat(status->restarts());
        const auto label = one.container.labels().find(kCount);
        if (label != one.container.labels().end() && label->second == count) {
          return self->Next(round);
        }
        self->parts_.executor.PostContinuation([self, round, &one, count] {
          if (self->stopped_.load()) return;
          Container changed;
          changed.set_id(one.container.id());
          (*changed.mutable_labels())[kCount] = count;
          const std::string mask = absl::StrCat("labels.", kCount);
          const auto updated = self->parts_.containers.Update({.ns = one.ns}, changed, {mask});
          self->Finish(round, one, "count", updated.status());
        });
      });
}

void RestartMonitor::Finish(const RoundPtr& round, const Labelled& one, const char* what,
                            const absl::Status& status) {
  // Its client was faster, or removed it.
  const bool fine = status.ok() || absl::IsNotFound(status) || absl::IsAlreadyExists(status);
  if (!fine && !stopped_.load()) {
    parts_.log.Warning("ignoring what the label containerd.io/restart.status asks for",
                       {{"namespace", one.ns},
                        {"container", one.container.id()},
                        {"step", what},
                        {"error", status}});
  }
  Next(round);
}

}  // namespace berth
