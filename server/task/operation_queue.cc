#include "server/task/operation_queue.h"

#include "absl/strings/str_cat.h"

namespace berth {

absl::Status OperationQueue::Push(Operation operation) {
  if (!closed_.ok()) return closed_;
  if (waiting_.size() >= kMaxWaiting) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMaxWaiting, " calls wait for this container already; try again later"));
  }
  waiting_.push_back(std::move(operation));
  if (!running_) ScheduleNext();
  return absl::OkStatus();
}

void OperationQueue::OnTurnPassed() {
  running_ = false;
  if (!waiting_.empty()) ScheduleNext();
}

void OperationQueue::Close(const absl::Status& reason) {
  if (closed_.ok()) closed_ = reason;
  for (Operation& operation : std::exchange(waiting_, {})) operation(closed_);
}

// From the loop, not at once: a long queue must not become a deep stack.
void OperationQueue::ScheduleNext() {
  running_ = true;
  loop_.Post([self = shared_from_this()] {
    if (!self->closed_.ok()) return;
    Operation operation = std::move(self->waiting_.front());
    self->waiting_.pop_front();
    operation(Turn(self));
  });
}

}  // namespace berth
