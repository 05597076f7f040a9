// A fixed number of threads that run posted tasks: where blocking work of the daemon happens.
//
// Invariant: at most `queue_limit` tasks wait; a task that was accepted runs exactly once, also
// during Stop(). No order between tasks is promised (a stream that needs one posts its next task
// when the last has ended). An exception that leaves a task ends the process: it is our own
// mistake. Thread-safe. Owned by server/main and lent to the services; Stop() after the gRPC
// server.
#ifndef BERTH_BASE_GRPC_EXECUTOR_H_
#define BERTH_BASE_GRPC_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"

namespace berth {

class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  // `thread_name` shows in /proc/<pid>/task/*/comm (up to 15 bytes).
  Executor(size_t threads, size_t queue_limit, absl::string_view thread_name = "executor");
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor();

  // False when the queue is full or Stop() has begun; the task is then destroyed unrun. Answer
  // RESOURCE_EXHAUSTED.
  [[nodiscard]] bool Post(Task task);
  // For the next step of a call that was already accepted: not subject to the limit, because there
  // is at most one such task per open call. After Stop() it runs on the caller's thread.
  void PostContinuation(Task task);
  // Refuses new tasks, runs what waits, joins the threads. Idempotent. Blocks.
  void Stop();

 private:
  void Work();

  const size_t queue_limit_;
  const std::string thread_name_;
  Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // joined by the one Stop() that sets stopping_
};

}  // namespace berth

#endif  // BERTH_BASE_GRPC_EXECUTOR_H_
