// Whether, and after how long, a container that has ended is started again: Docker's rule.
//
// Invariant: the pause doubles from first_backoff to longest_backoff, and begins anew after a run
// of reset_after; a container that a user stopped is not started again. Pure, thread-compatible.
// Owned by a LiveTask.
#ifndef BERTH_SHIM_TASK_RESTART_RULE_H_
#define BERTH_SHIM_TASK_RESTART_RULE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace berth::task {

struct RestartPolicy {
  enum class Mode : uint8_t { kNo, kOnFailure, kAlways, kUnlessStopped };
  Mode mode = Mode::kNo;
  uint32_t maximum_retries = 0;  // with kOnFailure; 0: no limit
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration longest_backoff = absl::Minutes(1);
  absl::Duration reset_after = absl::Seconds(10);
};

enum class UserStopped : uint8_t { kNo, kYes };

class RestartRule {
 public:
  const RestartPolicy& policy() const { return policy_; }
  // Keeps what was counted; `earlier_restarts` were made elsewhere.
  void SetPolicy(const RestartPolicy& policy, uint32_t earlier_restarts);
  // A container that ran for `ran` ended with `status`. The pause before its next start, which is
  // counted; nullopt when there is none.
  std::optional<absl::Duration> AfterExit(uint32_t status, absl::Duration ran,
                                          UserStopped user_stopped);
  uint32_t restarts() const { return restarts_; }
  absl::Duration backoff() const { return backoff_; }
  // Goes on where another one stood.
  void Resume(absl::Duration backoff, uint32_t restarts) {
    backoff_ = backoff;
    restarts_ = restarts;
  }

 private:
  RestartPolicy policy_;
  absl::Duration backoff_ = absl::ZeroDuration();
  uint32_t restarts_ = 0;
};

}  // namespace berth::task

#endif  // BERTH_SHIM_TASK_RESTART_RULE_H_
