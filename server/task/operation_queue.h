// The order of state-changing calls on one container: one runs, the others wait.
//
// Invariant: an operation starts only after the Turn of the one before it is gone, and never from
// inside Push or a Turn's destructor; each is called exactly once, with its turn or with why there
// is none. At most kMaxWaiting wait. Loop-only. Owned by a Task, and shared with the Turns that are
// out.
#ifndef BERTH_SERVER_TASK_OPERATION_QUEUE_H_
#define BERTH_SERVER_TASK_OPERATION_QUEUE_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"

namespace berth {

class OperationQueue : public std::enable_shared_from_this<OperationQueue> {
 public:
  static constexpr size_t kMaxWaiting = 64;

  // The right to run: move it to where the operation ends, and drop it there.
  class Turn {
   public:
    Turn() = default;
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&& other) noexcept {
      if (this != &other) {
        Pass();
        queue_ = std::move(other.queue_);
      }
      return *this;
    }
    ~Turn() { Pass(); }

   private:
    friend class OperationQueue;
    explicit Turn(std::shared_ptr<OperationQueue> queue) : queue_(std::move(queue)) {}
    void Pass() {
      if (auto queue = std::move(queue_)) queue->OnTurnPassed();
    }
    std::shared_ptr<OperationQueue> queue_;
  };
  using Operation = absl::AnyInvocable<void(absl::StatusOr<Turn> turn)>;

  explicit OperationQueue(Loop& loop) : loop_(loop) {}
  // Errors, the operation being dropped uncalled: RESOURCE_EXHAUSTED; the reason of a Close.
  absl::Status Push(Operation operation);
  // Nothing gets a turn any more: what waits is told why.
  void Close(const absl::Status& reason);

 private:
  void OnTurnPassed();
  void ScheduleNext();

  Loop& loop_;
  bool running_ = false;
  absl::Status closed_;  // OK: open
  std::deque<Operation> waiting_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_OPERATION_QUEUE_H_
