// A Loop and the thread that runs it.
//
// Invariant: before Start the loop may be used from the thread that made it, as Loop allows; after
// Stop nothing runs any more. Thread-hostile but for loop()'s own thread-safe methods. Owned by
// server/main; outlives what uses the loop.
#ifndef BERTH_SERVER_TASK_LOOP_THREAD_H_
#define BERTH_SERVER_TASK_LOOP_THREAD_H_

#include <memory>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/status/check.h"

namespace berth {

class LoopThread {
 public:
  static absl::StatusOr<std::unique_ptr<LoopThread>> Create() {
    absl::StatusOr<std::unique_ptr<Loop>> loop = Loop::Create();
    if (!loop.ok()) return loop.status();
    return std::unique_ptr<LoopThread>(new LoopThread(*std::move(loop)));
  }
  ~LoopThread() { Stop(); }

  Loop& loop() { return *loop_; }
  void Start() {
    // epoll itself does not fail but for a broken invariant.
    thread_ = std::thread([this] { BERTH_CHECK(loop_->Run().ok()); });
  }
  // Idempotent. Blocks until the thread has ended.
  void Stop() {
    if (!thread_.joinable()) return;
    loop_->Stop();
    thread_.join();
  }

 private:
  explicit LoopThread(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
  const std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_LOOP_THREAD_H_
