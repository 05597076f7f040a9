// Decides when garbage is collected, and runs it on a thread of its own.
//
// A collection is due after a release (the threshold of deletions, or one deletion when there is no
// threshold), after many changes, when a lease or an image expires, and at least once an hour.
// Between collections it waits so long that they take at most `pause_threshold` of the time.
// Whoever needs the result (Images.Delete and Leases.Delete with sync) calls CollectNow, which does
// not wait for that. Idle, it sleeps without a timer shorter than those. Thread-safe; owned by
// server/main.
#ifndef BERTH_SERVER_GC_SCHEDULER_H_
#define BERTH_SERVER_GC_SCHEDULER_H_

#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/log/logger.h"
#include "base/os/mutex.h"
#include "server/gc/collector.h"
#include "server/metadata/change_listener.h"

namespace berth::gc {

struct SchedulerOptions {
  double pause_threshold = 0.02;  // the part of the time that collecting may take
  int deletion_threshold = 0;     // 0: one deletion is enough
  int mutation_threshold = 100;   // 0: changes alone never cause a collection
  absl::Duration schedule_delay = absl::ZeroDuration();
  absl::Duration startup_delay = absl::Milliseconds(100);
};

class Scheduler final : public metadata::ChangeListener {
 public:
  // Runs one collection; Collector::Collect behind it.
  using Collect = absl::AnyInvocable<absl::StatusOr<CollectionResult>(absl::Time now)>;

  Scheduler(SchedulerOptions options, const Logger& log) : options_(options), log_(log) {}
  ~Scheduler() override;  // Stop()

  // The stores need a listener before there is a collector over them, so that comes here.
  void Start(Collect collect) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits for a running collection; those who wait in CollectNow get UNAVAILABLE. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  void OnChange(metadata::Change change) override ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns when a collection that began after this call has ended. Blocks. Errors: the
  // collection's; DEADLINE_EXCEEDED, and the collection goes on; UNAVAILABLE after Stop or before
  // Start.
  absl::Status CollectNow(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run(Collect collect) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Time NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunOne(Collect& collect) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SchedulerOptions options_;
  const Logger& log_;

  Mutex mutex_;
  CondVar wakeup_;     // for the thread
  CondVar collected_;  // for those in CollectNow
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int deletions_ ABSL_GUARDED_BY(mutex_) = 0;
  int mutations_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time reason_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();  // a threshold was met
  absl::Time not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();   // the pause
  absl::Time timer_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();      // start, expiry, hour
  uint64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;  // the collection that CollectNow asks for
  uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status last_ ABSL_GUARDED_BY(mutex_);  // result of collection number ended_
  absl::Duration total_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace berth::gc

#endif  // BERTH_SERVER_GC_SCHEDULER_H_
