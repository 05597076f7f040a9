// Where the daemon's time went in the calls that made, started and deleted a task: what `berth
// explain` shows beside the shim's own record.
//
// Invariant: at most kTasks tasks have a trace, of at most kSpans spans; the task that was begun
// longest ago goes first. A trace outlives its task. Thread-safe. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_LIFE_TRACE_H_
#define BERTH_SERVER_TASK_LIFE_TRACE_H_

#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "server/task/bundle.h"

namespace berth {

class LifeTrace {
 public:
  static constexpr size_t kTasks = 256;
  static constexpr size_t kSpans = 32;

  struct Span {
    const char* call;  // "Tasks.Create"
    const char* step;
    absl::Time began_at;
    absl::Duration took;
  };

  // A task is made: the trace of an earlier one of its name ends.
  void Begin(const TaskKey& key) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of a task that was begun; else nothing is kept.
  void Add(const TaskKey& key, const Span& span) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<Span> Of(const TaskKey& key) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  absl::flat_hash_map<TaskKey, std::vector<Span>> traces_ ABSL_GUARDED_BY(mutex_);
  std::deque<TaskKey> begun_ ABSL_GUARDED_BY(mutex_);  // each key of traces_ once
};

// The steps of one call, one after the other. Thread-compatible.
class StepClock {
 public:
  StepClock(LifeTrace& trace, TaskKey key, const char* call)
      : trace_(trace), key_(std::move(key)), call_(call), began_at_(absl::Now()) {}

  // `step` ended now, and began when the one before it ended.
  void Ended(const char* step) {
    const absl::Time now = absl::Now();
    trace_.Add(key_, {call_, step, began_at_, now - began_at_});
    began_at_ = now;
  }

 private:
  LifeTrace& trace_;
  const TaskKey key_;
  const char* const call_;
  absl::Time began_at_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_LIFE_TRACE_H_
