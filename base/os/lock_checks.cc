#include "base/os/lock_checks.h"

#include "absl/synchronization/mutex.h"

namespace berth {

void DropLockOrderChecks() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace berth
