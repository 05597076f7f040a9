// The further generations of a task's container: its restart policy at work.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "proto/containerd/events/task.pb.h"
#include "shim/service/live_task.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

// While the daemon is away, the ends of so many generations are kept for it.
constexpr size_t kMaxRemembered = 64;
constexpr uint32_t kStatusOfAFailedRestart = 128;

std::string GenerationId(uint32_t generation) {
  return absl::StrCat(journal::kGenerationPrefix, generation);
}

}  // namespace

void LiveTask::SetPolicy(Policy policy) {
  policy_ = std::move(policy);
  rule_.SetPolicy(policy_.restart, policy_.earlier_restarts);
  HoldNetwork();
  StartHealth();
  const bool waits = restart_timer_ != TimerId::kNone;
  if (waits && (policy_.restart.mode == task::RestartPolicy::Mode::kNo ||
                policy_.user_stopped == task::UserStopped::kYes)) {
    context_.loop.Cancel(std::exchange(restart_timer_, TimerId::kNone));
  }
  const bool stopped = task_.init().state == task::State::kStopped && !turning_over_;
  if (!stopped || waits || !policy_.start_if_stopped || !last_end_.has_value()) return;
  ConsiderRestart(last_end_->status, started_ ? last_end_->at - started_at_ : absl::ZeroDuration());
}

void LiveTask::MarkStopped(task::UserStopped user_stopped) {
  policy_.user_stopped = user_stopped;
  if (user_stopped == task::UserStopped::kYes) {
    context_.loop.Cancel(std::exchange(restart_timer_, TimerId::kNone));
  }
}

void LiveTask::EndPolicy() {
  policy_ = Policy();
  rule_.SetPolicy(policy_.restart, 0);
  context_.loop.Cancel(std::exchange(restart_timer_, TimerId::kNone));
  health_.reset();
}

// The namespace would end with the container's last process.
void LiveTask::HoldNetwork() {
  if (policy_.restart.mode == task::RestartPolicy::Mode::kNo) return network_.Reset();
  const pid_t pid = task_.init().pid != 0 ? task_.init().pid : container_->init_pid();
  if (network_.valid() || pid <= 0 || last_end_generation_ == generation_) return;
  auto network = OpenFile(absl::StrCat("/proc/", pid, "/ns/net"), O_RDONLY);
  if (network.ok()) {
    network_ = *std::move(network);
  } else {
    context_.log.Warning(
        absl::StrCat("a restart will get a new network namespace: ", network.status().message()));
  }
}

void LiveTask::ConsiderRestart(uint32_t status, absl::Duration ran) {
  const auto pause = rule_.AfterExit(status, ran, policy_.user_stopped);
  if (!pause.has_value()) return;
  next_start_ = absl::Now() + *pause;
  restart_timer_ = context_.loop.After(*pause, [this] { BeginRestart(); });
}

void LiveTask::BeginRestart() {
  restart_timer_ = TimerId::kNone;
  if (!task_.BeginDelete("").ok()) return;  // a client's delete was quicker
  turning_over_ = true;
  DeleteInit();
}

// The old generation is removed, or could not be.
void LiveTask::TurnOver(absl::Status cleaned) {
  if (!cleaned.ok()) {
    task_.DeleteFailed("");
    return OnRestarted(std::move(cleaned));
  }
  for (const std::string& warning : container_->TakeWarnings()) context_.log.Warning(warning);
  // A user stopped it while that went on: it stays as it is, to be deleted or left.
  if (policy_.user_stopped == task::UserStopped::kYes) {
    nothing_made_ = true;
    return task_.DeleteFailed("");
  }
  NextGeneration();
}

void LiveTask::RememberGeneration(const Member& init) {
  journal::ProcessRecord record = init.record;
  record.exec_id = GenerationId(generation_);
  record.stage = journal::Stage::kExited;
  if (remembered_generations_.size() >= kMaxRemembered) {
    journal_->Forget(GenerationId(remembered_generations_.front())).IgnoreError();
    remembered_generations_.pop_front();
  }
  if (absl::Status written = journal_->Write(record); !written.ok()) {
    return context_.log.Warning(absl::StrCat("journal, ignoring: ", written.message()));
  }
  remembered_generations_.push_back(generation_);
}

void LiveTask::ForgetExecs() {
  for (auto& [id, one] : members_) {
    if (id.empty()) continue;
    const absl::Status gone = absl::NotFoundError(absl::StrCat(
        "exec \"", id, "\" not found: the container of task \"", spec_.id, "\" was restarted"));
    for (Done<Ended>& done : std::exchange(one->deleters, {})) done(gone);
    for (Done<Ended>& done : std::exchange(one->waiters, {})) done(gone);
    journal_->Forget(id).IgnoreError();
  }
  // These may be on the stack, below us.
  context_.loop.Post([old = std::make_shared<decltype(members_)>(std::move(members_))] {});
  context_.loop.Post([old = std::shared_ptr<launch::AnyContainer>(
                          std::move(container_))]() mutable { old.reset(); });
  members_.clear();
}

void LiveTask::NextGeneration() {
  // A generation that could not be made has nothing to tell of.
  if (!delete_published_) {
    const Member& init = member("");
    RememberGeneration(init);
    const EventQueue::Then then{
        .kind = EventQueue::Then::Kind::kGeneration, .task = spec_.id, .generation = generation_};
    PublishDelete(EndOf(""), AcknowledgedBy(then), then);
  }
  ForgetExecs();
  container_ = MakeContainer();
  auto init = std::make_unique<Member>();
  init->record.generation = ++generation_;
  members_[""] = std::move(init);
  if (policy_.later_stdio.has_value()) {
    stdio_ = *policy_.later_stdio;
    stdio_.terminal = spec_.stdio.terminal;
  }
  task_.NextGeneration(stdio_);
  create_phase_ = CreatePhase::kStreams;
  started_ = delete_published_ = nothing_made_ = false;
  create_done_ = [this](absl::StatusOr<pid_t> pid) {
    if (!pid.ok()) {
      const Ended end = last_end_.value_or(Ended());
      task_.NextGenerationFailed(end.pid, end.status, end.at);
      nothing_made_ = delete_published_ = true;
      return OnRestarted(pid.status());
    }
    // From the loop: we are in the middle of its create.
    context_.loop.Post([self = std::weak_ptr<LiveTask*>(self_)] {
      if (const auto task = self.lock()) (*task)->BeginStart();
    });
  };
  BeginCreate();
}

void LiveTask::BeginStart() {
  // Its exit, which follows, decides how it goes on.
  Start("", [this](absl::StatusOr<pid_t> pid) {
    last_start_error_ = pid.ok() ? "" : std::string(pid.status().message());
    if (pid.ok()) ::malloc_trim(0);
  });
}

void LiveTask::OnRestarted(absl::Status status) {
  last_start_error_ = std::string(status.message());
  context_.log.Warning(absl::StrCat("restart: ", status.message()));
  ConsiderRestart(kStatusOfAFailedRestart, absl::ZeroDuration());
}

EventQueue::OnAcknowledged LiveTask::AcknowledgedBy(const EventQueue::Then& then) {
  switch (then.kind) {
    case EventQueue::Then::Kind::kExit:
      return [self = std::weak_ptr<LiveTask*>(self_), exec_id = then.exec_id] {
        const auto task = self.lock();
        if (task == nullptr) return;
        const auto found = (*task)->members_.find(exec_id);
        if (found == (*task)->members_.end()) return;
        found->second->record.exit_announced = true;
        (*task)->WriteRecord(*found->second, found->second->record.stage);
      };
    case EventQueue::Then::Kind::kGeneration:
      return
          [journal = journal_, self = std::weak_ptr<LiveTask*>(self_), number = then.generation] {
            journal->Forget(GenerationId(number)).IgnoreError();
            if (const auto task = self.lock()) std::erase((*task)->remembered_generations_, number);
          };
    default:
      return nullptr;
  }
}

void LiveTask::PublishDelete(const Ended& ended, EventQueue::OnAcknowledged on_acknowledged,
                             EventQueue::Then then) {
  if (std::exchange(delete_published_, true)) return;
  containerd::events::TaskDelete event;
  event.set_container_id(spec_.id);
  event.set_pid(ended.pid);
  event.set_exit_status(ended.status);
  SetTimestamp(ended.at, event.mutable_exited_at());
  Publish("/tasks/delete", "containerd.events.TaskDelete", event, EventQueue::Weight::kExit,
          std::move(on_acknowledged), std::move(then));
}

void LiveTask::StartHealth() {
  if (!policy_.health.has_value()) return health_.reset();
  if (health_ != nullptr && health_generation_ == generation_ &&
      health_->check() == *policy_.health) {
    return;
  }
  if (!started_ || last_end_generation_ == generation_) return;
  health_generation_ = generation_;
  health_ = std::make_unique<HealthMonitor>(context_.loop, *policy_.health, HealthExec(),
                                            HealthChanged());
}

HealthMonitor::Exec LiveTask::HealthExec() {
  return [this](launch::ExecOptions options, launch::Container::ExecDone done) {
    if (task_.init().state != task::State::kRunning) {
      return context_.loop.Post([done = std::move(done)]() mutable {
        done(absl::FailedPreconditionError("the container is not running"));
      });
    }
    container_->Exec(std::move(options), std::move(done));
  };
}

HealthMonitor::OnChange LiveTask::HealthChanged() {
  return [this](v1::Health::Status status) {
    v1::TaskHealth event;
    event.set_container_id(spec_.id);
    event.set_status(status);
    Publish("/tasks/health", "berth.shim.v1.TaskHealth", event);
  };
}

void LiveTask::FillStatus(v1::GetStatusResponse& status) const {
  const bool waits = restart_timer_ != TimerId::kNone;
  switch (task_.init().state) {
    case task::State::kAdded:
    case task::State::kCreating:
      status.set_phase(generation_ > 1 ? v1::GetStatusResponse::RESTARTING
                                       : v1::GetStatusResponse::UNKNOWN);
      break;
    case task::State::kCreated:
    case task::State::kStarting:
      status.set_phase(generation_ > 1 ? v1::GetStatusResponse::RESTARTING
                                       : v1::GetStatusResponse::CREATED);
      break;
    case task::State::kRunning:
    case task::State::kPausing:
      status.set_phase(v1::GetStatusResponse::RUNNING);
      break;
    case task::State::kPaused:
    case task::State::kResuming:
      status.set_phase(v1::GetStatusResponse::PAUSED);
      break;
    case task::State::kStopped:
    case task::State::kDeleting:
      status.set_phase(waits || turning_over_ ? v1::GetStatusResponse::RESTARTING
                                              : v1::GetStatusResponse::STOPPED);
      break;
  }
  status.set_pid(task_.init().pid);
  status.set_generation(generation_);
  status.set_restarts(rule_.restarts());
  if (waits) SetTimestamp(next_start_, status.mutable_next_start());
  if (started_at_ != absl::InfinitePast()) SetTimestamp(started_at_, status.mutable_started_at());
  if (last_end_.has_value()) {
    status.mutable_last_exit()->set_generation(last_end_generation_);
    status.mutable_last_exit()->set_pid(last_end_->pid);
    status.mutable_last_exit()->set_status(last_end_->status);
    SetTimestamp(last_end_->at, status.mutable_last_exit()->mutable_at());
  }
  status.set_last_start_error(last_start_error_);
  status.set_explicitly_stopped(policy_.user_stopped == task::UserStopped::kYes);
  status.set_oom_killed(oom_killed_);
  if (health_ != nullptr) health_->Fill(*status.mutable_health());
  auto& counters = *status.mutable_counters();
  for (const auto& [id, one] : members_) {
    if (one->hub != nullptr) {
      counters.set_attach_clients(counters.attach_clients() + one->hub->client_count());
      counters.set_attach_dropped_bytes(counters.attach_dropped_bytes() +
                                        one->hub->dropped_bytes());
    }
    if (!id.empty() || one->io == nullptr || one->io->log_counters() == nullptr) continue;
    const io::LogCounters& log = *one->io->log_counters();
    counters.set_log_bytes(log.bytes.load());
    counters.set_log_records(log.records.load());
    counters.set_log_rotations(log.rotations.load());
    counters.set_log_dropped_bytes(log.dropped_bytes.load() + one->io->discarded_bytes());
    counters.set_log_errors(log.errors.load());
    if (const int error = log.last_errno.load(); error != 0) {
      counters.set_log_last_error(ErrnoName(error));
    }
  }
}

}  // namespace berth::service
