#include "base/grpc/executor.h"

#include <pthread.h>

#include <utility>

namespace berth {

Executor::Executor(size_t threads, size_t queue_limit, absl::string_view thread_name)
    : queue_limit_(queue_limit), thread_name_(thread_name.substr(0, 15)) {
  threads_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

Executor::~Executor() { Stop(); }

bool Executor::Post(Task task) {
  MutexLock lock(&mutex_);
  if (stopping_ || queue_.size() >= queue_limit_) return false;
  queue_.push_back(std::move(task));
  return true;
}

void Executor::PostContinuation(Task task) {
  {
    MutexLock lock(&mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(task));
      return;
    }
  }
  std::move(task)();
}

void Executor::Stop() {
  {
    MutexLock lock(&mutex_);
    if (stopping_) {
      mutex_.Await(absl::Condition(&stopped_));
      return;
    }
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  MutexLock lock(&mutex_);
  stopped_ = true;
}

void Executor::Work() {
  ::pthread_setname_np(::pthread_self(), thread_name_.c_str());
  const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  };
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    std::move(task)();
  }
}

}  // namespace berth
