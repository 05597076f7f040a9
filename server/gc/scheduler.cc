#include "server/gc/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace berth::gc {
namespace {

// Ingests expire too, and a clock may jump: an idle daemon looks once an hour.
constexpr absl::Duration kIdlePeriod = absl::Hours(1);
// After a failure (a full disk, say) the next try waits at least this long.
constexpr absl::Duration kFailurePause = absl::Seconds(1);

}  // namespace

Scheduler::~Scheduler() { Stop(); }

void Scheduler::Start(Collect collect) {
  MutexLock lock(&mutex_);
  if (started_ || stopping_) return;
  started_ = true;
  timer_ = absl::Now() + options_.startup_delay;
  thread_ =
      std::thread([this, collect = std::move(collect)]() mutable { Run(std::move(collect)); });
}

void Scheduler::Stop() {
  {
    MutexLock lock(&mutex_);
    if (stopping_) return;
    stopping_ = true;
    wakeup_.Signal();
    collected_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Scheduler::OnChange(metadata::Change change) {
  MutexLock lock(&mutex_);
  ++mutations_;
  if (change == metadata::Change::kReleased) ++deletions_;
  const bool enough_deletions =
      deletions_ > 0 && deletions_ >= std::max(options_.deletion_threshold, 1);
  const bool enough_mutations =
      options_.mutation_threshold > 0 && mutations_ >= options_.mutation_threshold;
  if (reason_at_ == absl::InfiniteFuture() && (enough_deletions || enough_mutations)) {
    reason_at_ = absl::Now();
    wakeup_.Signal();
  }
}

absl::Status Scheduler::CollectNow(absl::Time deadline) {
  MutexLock lock(&mutex_);
  // The one that runs now may have marked already: the next one counts.
  const uint64_t mine = begun_ + 1;
  wanted_ = std::max(wanted_, mine);
  wakeup_.Signal();
  while (ended_ < mine) {
    if (stopping_ || !started_) {
      return absl::UnavailableError("garbage collection is not running: the daemon is stopping");
    }
    if (collected_.WaitWithDeadline(&mutex_, deadline) && ended_ < mine) {
      return absl::DeadlineExceededError(
          "garbage collection has not ended in time; it goes on in the background");
    }
  }
  return last_;
}

absl::Time Scheduler::NextDue() const {
  if (wanted_ > begun_) return absl::InfinitePast();
  return std::max(std::min(timer_, reason_at_ + options_.schedule_delay), not_before_);
}

void Scheduler::Run(Collect collect) {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Time due = NextDue();
    if (absl::Now() < due) {
      wakeup_.WaitWithDeadline(&mutex_, due);
      continue;
    }
    RunOne(collect);
  }
}

void Scheduler::RunOne(Collect& collect) {
  ++begun_;
  deletions_ = 0;
  mutations_ = 0;
  reason_at_ = absl::InfiniteFuture();
  mutex_.Unlock();
  const absl::Time started = absl::Now();
  absl::StatusOr<CollectionResult> result = collect(started);
  const absl::Time ended = absl::Now();
  if (!result.ok()) {
    log_.Error("garbage collection failed, trying again later", {{"error", result.status()}});
  } else if (result->removed > 0) {
    log_.Debug("garbage collected", {{"removed", result->removed}, {"duration", result->duration}});
  }
  mutex_.Lock();
  ended_ = begun_;
  last_ = result.status();
  total_ += ended - started;
  timer_ = ended + kIdlePeriod;
  not_before_ = absl::InfinitePast();
  if (options_.pause_threshold > 0) {
    const absl::Duration average = total_ / static_cast<int64_t>(ended_);
    not_before_ = ended + average / options_.pause_threshold - average;
  }
  if (result.ok()) {
    timer_ = std::min(timer_, result->next_expiry);
  } else {
    not_before_ = std::max(not_before_, ended + kFailurePause);
    timer_ = not_before_;
  }
  collected_.SignalAll();
}

}  // namespace berth::gc
