// The health of a container on its way to the program that takes over.
#include <utility>

#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/service/health_monitor.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

}  // namespace

void HealthMonitor::Save(handover::Packer& packer, v1::HealthState& state) const {
  state.set_began_at(handover::ToNanoseconds(began_));
  Fill(*state.mutable_known());
  state.set_number(number_);
  state.set_stopped(stopped_);
  state.set_next_left(packer.Count(timer_));
  const int64_t timeout_left = packer.Count(timeout_timer_);
  const ProbePtr probe = running_.lock();
  if (probe == nullptr) return;
  auto& saved = *state.mutable_probe();
  saved.set_start(handover::ToNanoseconds(probe->start));
  saved.set_output(packer.Pack(probe->output));
  saved.set_pidfd(packer.Pack(probe->pidfd));
  saved.set_text(probe->text);
  saved.set_timed_out(probe->timed_out);
  saved.set_timeout_left(timeout_left);
  saved.set_output_ended(!probe->output_watch.active());
  packer.Count(probe->output_watch);
  if (probe->watch != nullptr) packer.Count(probe->watch->watch());
}

absl::StatusOr<std::unique_ptr<HealthMonitor>> HealthMonitor::Resume(Loop& loop, HealthCheck check,
                                                                     const v1::HealthState& state,
                                                                     handover::Unpacker& unpacker,
                                                                     Exec exec,
                                                                     OnChange on_change) {
  std::unique_ptr<HealthMonitor> monitor(
      new HealthMonitor(loop, std::move(check), handover::FromNanoseconds(state.began_at()),
                        std::move(exec), std::move(on_change)));
  monitor->status_ = state.known().status();
  monitor->failing_streak_ = state.known().failing_streak();
  for (const v1::Health::Result& result : state.known().results()) {
    monitor->results_.push_back({.start = TimeOf(result.start()),
                                 .end = TimeOf(result.end()),
                                 .exit_code = result.exit_code(),
                                 .output = result.output()});
  }
  monitor->number_ = state.number();
  monitor->stopped_ = state.stopped();
  if (state.next_left() >= 0) {
    monitor->timer_ =
        loop.After(absl::Nanoseconds(state.next_left()), [self = monitor.get()] { self->Begin(); });
  }
  if (state.has_probe()) {
    BERTH_RETURN_IF_ERROR(monitor->ResumeProbe(state, unpacker));
  }
  return monitor;
}

absl::Status HealthMonitor::ResumeProbe(const v1::HealthState& state,
                                        handover::Unpacker& unpacker) {
  constexpr char kWhat[] = "a health check";
  const auto& saved = state.probe();
  auto probe = std::make_shared<Probe>();
  probe->start = handover::FromNanoseconds(saved.start());
  probe->text = saved.text();
  probe->timed_out = saved.timed_out();
  BERTH_ASSIGN_OR_RETURN(probe->output,
                         unpacker.Take(saved.output(), handover::Kind::kPipe, kWhat));
  BERTH_ASSIGN_OR_RETURN(probe->pidfd, unpacker.Take(saved.pidfd(), handover::Kind::kAny, kWhat));
  // Whoever only checks must not be able to end it.
  if (unpacker.is_check()) probe->pidfd.Reset();
  if (!saved.output_ended()) {
    BERTH_ASSIGN_OR_RETURN(
        probe->output_watch,
        loop_.Watch(probe->output, EPOLLIN, [raw = probe.get()](uint32_t) { ReadOutput(*raw); }));
  }
  if (unpacker.is_check()) return absl::OkStatus();
  running_ = probe;
  if (saved.timeout_left() >= 0) LimitProbe(absl::Nanoseconds(saved.timeout_left()));
  return Watch(probe);
}

}  // namespace berth::service
