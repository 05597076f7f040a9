#include "shim/service/policy_codec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "google/protobuf/duration.pb.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

constexpr uint32_t kMostRetries = 1'000'000;
constexpr absl::Duration kShortestInterval = absl::Milliseconds(1);  // as Docker's

// Absent: `absent`. Errors: INVALID_ARGUMENT below `least`.
absl::StatusOr<absl::Duration> Decode(bool present, const google::protobuf::Duration& value,
                                      absl::Duration absent, absl::Duration least,
                                      absl::string_view field) {
  if (!present) return absent;
  const absl::Duration duration = absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos());
  if (duration < least || duration > absl::Hours(24 * 365)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " is ", absl::FormatDuration(duration), ": expected at least ",
                     absl::FormatDuration(least), " and at most a year"));
  }
  return duration;
}

void Encode(absl::Duration value, google::protobuf::Duration* out) {
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
}

}  // namespace

absl::StatusOr<HealthCheck> DecodeHealth(const v1::HealthCheck& health) {
  HealthCheck check;
  check.process_json = health.process_json();
  BERTH_ASSIGN_OR_RETURN(check.interval,
                         Decode(health.has_interval(), health.interval(), check.interval,
                                kShortestInterval, "health.interval"));
  BERTH_ASSIGN_OR_RETURN(check.timeout, Decode(health.has_timeout(), health.timeout(),
                                               check.timeout, kShortestInterval, "health.timeout"));
  BERTH_ASSIGN_OR_RETURN(check.start_period,
                         Decode(health.has_start_period(), health.start_period(),
                                check.start_period, absl::ZeroDuration(), "health.start_period"));
  BERTH_ASSIGN_OR_RETURN(check.start_interval,
                         Decode(health.has_start_interval(), health.start_interval(),
                                check.start_interval, kShortestInterval, "health.start_interval"));
  if (health.retries() > kMostRetries) {
    return absl::InvalidArgumentError("health.retries is out of range");
  }
  if (health.retries() != 0) check.retries = health.retries();
  return check;
}

void EncodeHealth(const HealthCheck& check, v1::HealthCheck& health) {
  health.set_process_json(check.process_json);
  Encode(check.interval, health.mutable_interval());
  Encode(check.timeout, health.mutable_timeout());
  Encode(check.start_period, health.mutable_start_period());
  Encode(check.start_interval, health.mutable_start_interval());
  health.set_retries(check.retries);
}

absl::StatusOr<LiveTask::Policy> DecodePolicy(const v1::SetPolicyRequest& request) {
  LiveTask::Policy policy;
  const v1::RestartPolicy& restart = request.restart();
  switch (restart.mode()) {
    case v1::RestartPolicy::NO:
      policy.restart.mode = task::RestartPolicy::Mode::kNo;
      break;
    case v1::RestartPolicy::ON_FAILURE:
      policy.restart.mode = task::RestartPolicy::Mode::kOnFailure;
      break;
    case v1::RestartPolicy::ALWAYS:
      policy.restart.mode = task::RestartPolicy::Mode::kAlways;
      break;
    case v1::RestartPolicy::UNLESS_STOPPED:
      policy.restart.mode = task::RestartPolicy::Mode::kUnlessStopped;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("restart.mode ", restart.mode(), " is not known"));
  }
  policy.restart.maximum_retries = restart.maximum_retries();
  BERTH_ASSIGN_OR_RETURN(
      policy.restart.first_backoff,
      Decode(restart.has_first_backoff(), restart.first_backoff(), policy.restart.first_backoff,
             absl::Milliseconds(1), "restart.first_backoff"));
  BERTH_ASSIGN_OR_RETURN(policy.restart.longest_backoff,
                         Decode(restart.has_longest_backoff(), restart.longest_backoff(),
                                policy.restart.longest_backoff, policy.restart.first_backoff,
                                "restart.longest_backoff"));
  BERTH_ASSIGN_OR_RETURN(
      policy.restart.reset_after,
      Decode(restart.has_reset_after(), restart.reset_after(), policy.restart.reset_after,
             absl::Milliseconds(1), "restart.reset_after"));
  policy.earlier_restarts = restart.earlier_restarts();
  policy.start_if_stopped = restart.start_if_stopped();
  if (restart.has_later_stdio()) {
    const v1::Stdio& stdio = restart.later_stdio();
    policy.later_stdio =
        task::Stdio{.in = stdio.stdin(), .out = stdio.stdout(), .err = stdio.stderr()};
  }
  if (!request.health().process_json().empty()) {
    BERTH_ASSIGN_OR_RETURN(policy.health, DecodeHealth(request.health()));
  }
  if (request.explicitly_stopped()) policy.user_stopped = task::UserStopped::kYes;
  return policy;
}

void EncodePolicy(const LiveTask::Policy& policy, v1::RestartPolicy& restart) {
  switch (policy.restart.mode) {
    case task::RestartPolicy::Mode::kNo:
      restart.set_mode(v1::RestartPolicy::NO);
      break;
    case task::RestartPolicy::Mode::kOnFailure:
      restart.set_mode(v1::RestartPolicy::ON_FAILURE);
      break;
    case task::RestartPolicy::Mode::kAlways:
      restart.set_mode(v1::RestartPolicy::ALWAYS);
      break;
    case task::RestartPolicy::Mode::kUnlessStopped:
      restart.set_mode(v1::RestartPolicy::UNLESS_STOPPED);
      break;
  }
  restart.set_maximum_retries(policy.restart.maximum_retries);
  Encode(policy.restart.first_backoff, restart.mutable_first_backoff());
  Encode(policy.restart.longest_backoff, restart.mutable_longest_backoff());
  Encode(policy.restart.reset_after, restart.mutable_reset_after());
  restart.set_earlier_restarts(policy.earlier_restarts);
  restart.set_start_if_stopped(policy.start_if_stopped);
  if (policy.later_stdio.has_value()) {
    restart.mutable_later_stdio()->set_stdin(policy.later_stdio->in);
    restart.mutable_later_stdio()->set_stdout(policy.later_stdio->out);
    restart.mutable_later_stdio()->set_stderr(policy.later_stdio->err);
  }
}

}  // namespace berth::service
