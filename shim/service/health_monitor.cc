#include "shim/service/health_monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

using Health = berth::shim::v1::Health;

constexpr int32_t kNotRun = -1;

}  // namespace

HealthMonitor::HealthMonitor(Loop& loop, HealthCheck check, absl::Time began, Exec exec,
                             OnChange on_change)
    : loop_(loop),
      check_(std::move(check)),
      exec_(std::move(exec)),
      on_change_(std::move(on_change)),
      began_(began),
      status_(Health::STARTING) {}

HealthMonitor::HealthMonitor(Loop& loop, HealthCheck check, Exec exec, OnChange on_change)
    : HealthMonitor(loop, std::move(check), absl::Now(), std::move(exec), std::move(on_change)) {
  loop_.Post([self = std::weak_ptr<HealthMonitor*>(self_)] {
    if (const auto monitor = self.lock()) (*monitor)->on_change_(Health::STARTING);
  });
  Schedule();
}

HealthMonitor::~HealthMonitor() { Stop(); }

void HealthMonitor::Stop() {
  stopped_ = true;
  loop_.Cancel(timer_);
  loop_.Cancel(timeout_timer_);
  if (const ProbePtr probe = running_.lock()) KillProbe(*probe);
}

void HealthMonitor::Schedule() {
  if (stopped_) return;
  const bool starting = status_ == Health::STARTING && absl::Now() - began_ < check_.start_period;
  timer_ =
      loop_.After(starting ? std::min(check_.start_interval, check_.interval) : check_.interval,
                  [this] { Begin(); });
}

void HealthMonitor::Begin() {
  auto probe = std::make_shared<Probe>();
  probe->start = absl::Now();
  absl::StatusOr<Pipe> pipe = MakePipe();
  absl::StatusOr<UniqueFd> copy = absl::CancelledError();
  if (pipe.ok()) copy = DupFd(pipe->write);
  if (!copy.ok()) {
    Record({.start = probe->start,
            .end = absl::Now(),
            .exit_code = kNotRun,
            .output = std::string((pipe.ok() ? copy.status() : pipe.status()).message())});
    return Schedule();
  }
  probe->output = std::move(pipe->read);
  launch::ExecOptions options;
  options.exec_id = absl::StrCat(kHealthPrefix, ++number_);
  options.process_json = check_.process_json;
  options.stdio.out = std::move(pipe->write);
  options.stdio.err = *std::move(copy);
  exec_(std::move(options), [probe, loop = &loop_, self = std::weak_ptr<HealthMonitor*>(self_)](
                                absl::StatusOr<launch::ExecProcess> process) {
    if (const auto monitor = self.lock()) {
      return (*monitor)->Started(probe, std::move(process));
    }
    if (!process.ok()) return;
    // Nobody wants to know any more, but it is our child.
    probe->pidfd = std::move(process->pidfd);
    KillProbe(*probe);
    auto watch = ProcessWatch::Start(*loop, probe->pidfd, [probe, loop](uint32_t) {
      loop->Post([probe] { probe->watch.reset(); });
    });
    if (watch.ok()) probe->watch = *std::move(watch);
  });
}

void HealthMonitor::Started(const ProbePtr& probe, absl::StatusOr<launch::ExecProcess> process) {
  if (!process.ok()) {
    // Not a word about the container's health: it cannot be asked now.
    if (!absl::IsFailedPrecondition(process.status())) {
      Record({.start = probe->start,
              .end = absl::Now(),
              .exit_code = kNotRun,
              .output = std::string(process.status().message())});
    }
    return Schedule();
  }
  probe->pidfd = std::move(process->pidfd);
  running_ = probe;
  Watch(probe).IgnoreError();  // its timeout is left
  if (stopped_) return KillProbe(*probe);
  // The container's side stays as it is: this end has an open file of its own.
  (void)::fcntl(probe->output.get(), F_SETFL, O_NONBLOCK);
  auto reading =
      loop_.Watch(probe->output, EPOLLIN, [raw = probe.get()](uint32_t) { ReadOutput(*raw); });
  if (reading.ok()) probe->output_watch = *std::move(reading);
  LimitProbe(check_.timeout);
}

absl::Status HealthMonitor::Watch(const ProbePtr& probe) {
  BERTH_ASSIGN_OR_RETURN(
      probe->watch,
      ProcessWatch::Start(
          loop_, probe->pidfd,
          [probe, loop = &loop_, self = std::weak_ptr<HealthMonitor*>(self_)](uint32_t status) {
            probe->output_watch.Reset();
            if (const auto monitor = self.lock()) (*monitor)->Ended(probe, status);
            loop->Post([probe] { probe->watch.reset(); });  // which holds the probe
          }));
  return absl::OkStatus();
}

void HealthMonitor::LimitProbe(absl::Duration limit) {
  timeout_timer_ = loop_.After(limit, [this] {
    if (const ProbePtr running = running_.lock()) {
      running->timed_out = true;
      KillProbe(*running);
    }
  });
}

void HealthMonitor::ReadOutput(Probe& probe) {
  char buffer[kMaxOutputBytes];
  for (int round = 0; round < 16; ++round) {
    const ssize_t got = ::read(probe.output.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (got == 0) return probe.output_watch.Reset();
    // What is beyond the limit is read all the same, or the command would wait for ever.
    const size_t room = kMaxOutputBytes - probe.text.size();
    probe.text.append(buffer, std::min<size_t>(got, room));
  }
}

void HealthMonitor::KillProbe(const Probe& probe) {
  if (!probe.pidfd.valid()) return;
  ::syscall(SYS_pidfd_send_signal, probe.pidfd.get(), SIGKILL, nullptr, 0);
}

void HealthMonitor::Ended(const ProbePtr& probe, uint32_t status) {
  loop_.Cancel(timeout_timer_);
  running_.reset();
  if (stopped_) return;
  ReadOutput(*probe);
  Result result{.start = probe->start,
                .end = absl::Now(),
                .exit_code = static_cast<int32_t>(status),
                .output = std::move(probe->text)};
  if (probe->timed_out) {
    result.exit_code = kNotRun;
    result.output =
        absl::StrCat("the health check did not end within ", absl::FormatDuration(check_.timeout));
  }
  Record(std::move(result));
  Schedule();
}

void HealthMonitor::Record(Result result) {
  Status next = status_;
  if (result.exit_code == 0) {
    failing_streak_ = 0;
    next = Health::HEALTHY;
  } else if (status_ != Health::STARTING || result.start - began_ >= check_.start_period) {
    ++failing_streak_;
    if (failing_streak_ >= check_.retries) next = Health::UNHEALTHY;
  }
  results_.push_back(std::move(result));
  if (results_.size() > kMaxResults) results_.pop_front();
  if (std::exchange(status_, next) != next) on_change_(next);
}

void HealthMonitor::Fill(Health& health) const {
  health.set_status(status_);
  health.set_failing_streak(failing_streak_);
  for (const Result& result : results_) {
    auto& added = *health.add_results();
    SetTimestamp(result.start, added.mutable_start());
    SetTimestamp(result.end, added.mutable_end());
    added.set_exit_code(result.exit_code);
    added.set_output(result.output);
  }
}

}  // namespace berth::service
