// Steps of one piece of work, run one after the other on an executor: state that only they touch
// needs no lock.
//
// Invariant: steps run in the order of Post, never two at a time. Thread-safe. Shared by what it
// orders; a posted step keeps it alive.
#ifndef BERTH_SERVER_IMAGE_STRAND_H_
#define BERTH_SERVER_IMAGE_STRAND_H_

#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "base/grpc/executor.h"
#include "base/os/mutex.h"

namespace berth::image {

class Strand : public std::enable_shared_from_this<Strand> {
 public:
  using Step = absl::AnyInvocable<void()>;

  explicit Strand(Executor& executor) : executor_(executor) {}

  void Post(Step step) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      MutexLock lock(&mutex_);
      steps_.push_back(std::move(step));
      if (std::exchange(running_, true)) return;
    }
    executor_.PostContinuation([self = shared_from_this()] { self->RunOne(); });
  }

 private:
  // One step at a time, so that a long piece of work does not keep a thread from others.
  void RunOne() ABSL_LOCKS_EXCLUDED(mutex_) {
    Step step;
    {
      MutexLock lock(&mutex_);
      step = std::move(steps_.front());
      steps_.pop_front();
    }
    step();
    step = nullptr;
    {
      MutexLock lock(&mutex_);
      if (steps_.empty()) {
        running_ = false;
        return;
      }
    }
    executor_.PostContinuation([self = shared_from_this()] { self->RunOne(); });
  }

  Executor& executor_;
  Mutex mutex_;
  std::deque<Step> steps_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_STRAND_H_
