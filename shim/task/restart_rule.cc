#include "shim/task/restart_rule.h"

#include <algorithm>

namespace berth::task {

void RestartRule::SetPolicy(const RestartPolicy& policy, uint32_t earlier_restarts) {
  policy_ = policy;
  restarts_ = std::max(restarts_, earlier_restarts);
}

std::optional<absl::Duration> RestartRule::AfterExit(uint32_t status, absl::Duration ran,
                                                     UserStopped user_stopped) {
  const bool anew = ran >= policy_.reset_after || backoff_ == absl::ZeroDuration();
  backoff_ = anew ? policy_.first_backoff : std::min(backoff_ * 2, policy_.longest_backoff);
  if (user_stopped == UserStopped::kYes) return std::nullopt;
  switch (policy_.mode) {
    case RestartPolicy::Mode::kNo:
      return std::nullopt;
    case RestartPolicy::Mode::kOnFailure:
      if (status == 0) return std::nullopt;
      if (policy_.maximum_retries != 0 && restarts_ >= policy_.maximum_retries) return std::nullopt;
      break;
    case RestartPolicy::Mode::kAlways:
    case RestartPolicy::Mode::kUnlessStopped:
      break;
  }
  ++restarts_;
  return backoff_;
}

}  // namespace berth::task
