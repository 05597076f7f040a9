#include "server/gc/scheduler.h"

#include <atomic>

#include "absl/time/clock.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"

namespace berth::gc {
namespace {

using metadata::Change;

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() : log_(LogLevel::kFatal, LogFormat::kText) {}

  // Counts collections; each runs `during_`.
  Scheduler::Collect Counting() {
    return [this](absl::Time) -> absl::StatusOr<CollectionResult> {
      if (during_) during_();
      MutexLock lock(&mutex_);
      ++count_;
      return result_;
    };
  }
  bool CountReaches(int wanted) {
    MutexLock lock(&mutex_);
    const auto reached = [&] { return count_ >= wanted; };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(20));
  }
  int count() {
    MutexLock lock(&mutex_);
    return count_;
  }
  static SchedulerOptions Quiet() {
    return {.pause_threshold = 0, .startup_delay = absl::Hours(1)};
  }
  static absl::Time Soon() { return absl::Now() + absl::Seconds(20); }

  const Logger log_;
  Mutex mutex_;
  int count_ = 0;
  absl::StatusOr<CollectionResult> result_ = CollectionResult();
  std::function<void()> during_;
};

TEST_F(SchedulerTest, CollectsSoonAfterTheStart) {
  SchedulerOptions options = Quiet();
  options.startup_delay = absl::ZeroDuration();
  Scheduler scheduler(options, log_);
  scheduler.Start(Counting());
  EXPECT_TRUE(CountReaches(1));
}

TEST_F(SchedulerTest, AReleaseCausesACollectionAndAnAdditionDoesNot) {
  Scheduler scheduler(Quiet(), log_);
  scheduler.Start(Counting());
  for (int i = 0; i < 99; ++i) scheduler.OnChange(Change::kAdded);
  // What would have been wrong shows by the count after the release: one, not two.
  scheduler.OnChange(Change::kReleased);
  EXPECT_TRUE(CountReaches(1));
  ASSERT_TRUE(scheduler.CollectNow(Soon()).ok());
  EXPECT_EQ(count(), 2);
}

TEST_F(SchedulerTest, EnoughChangesCauseACollection) {
  SchedulerOptions options = Quiet();
  options.mutation_threshold = 3;
  Scheduler scheduler(options, log_);
  scheduler.Start(Counting());
  for (int i = 0; i < 3; ++i) scheduler.OnChange(Change::kAdded);
  EXPECT_TRUE(CountReaches(1));
}

TEST_F(SchedulerTest, ADeletionThresholdIsWaitedFor) {
  SchedulerOptions options = Quiet();
  options.deletion_threshold = 2;
  options.mutation_threshold = 0;
  Scheduler scheduler(options, log_);
  scheduler.Start(Counting());
  scheduler.OnChange(Change::kReleased);
  ASSERT_TRUE(scheduler.CollectNow(Soon()).ok());
  EXPECT_EQ(count(), 1);
  scheduler.OnChange(Change::kReleased);
  scheduler.OnChange(Change::kReleased);
  EXPECT_TRUE(CountReaches(2));
}

TEST_F(SchedulerTest, CollectNowWaitsForOneThatBeganAfterTheCall) {
  Notification inside;
  Notification release;
  std::atomic<int> begun = 0;
  during_ = [&] {
    ++begun;
    if (!inside.HasBeenNotified()) inside.Notify();
    release.WaitForNotification();
  };
  Scheduler scheduler(Quiet(), log_);
  scheduler.Start(Counting());
  scheduler.OnChange(Change::kReleased);
  inside.WaitForNotification();
  std::thread waiter([&] {
    const int before = begun;
    EXPECT_TRUE(scheduler.CollectNow(Soon()).ok());
    EXPECT_GT(count(), before);  // one that began later has ended
  });
  EXPECT_EQ(scheduler.CollectNow(absl::Now()).code(), absl::StatusCode::kDeadlineExceeded);
  release.Notify();
  waiter.join();
}

TEST_F(SchedulerTest, CollectNowReportsTheFailure) {
  result_ = absl::ResourceExhaustedError("disk full");
  Scheduler scheduler(Quiet(), log_);
  scheduler.Start(Counting());
  EXPECT_EQ(scheduler.CollectNow(Soon()), absl::ResourceExhaustedError("disk full"));
}

TEST_F(SchedulerTest, AnExpiryIsMetInTime) {
  CollectionResult result;
  result.next_expiry = absl::Now() + absl::Milliseconds(100);
  result_ = result;
  Scheduler scheduler(Quiet(), log_);
  scheduler.Start(Counting());
  ASSERT_TRUE(scheduler.CollectNow(Soon()).ok());
  EXPECT_TRUE(CountReaches(2));
  EXPECT_GE(absl::Now(), result.next_expiry);
}

TEST_F(SchedulerTest, ThePauseKeepsCollectionsRare) {
  // A collection that takes time, which the pause is measured by.
  during_ = [] { absl::SleepFor(absl::Milliseconds(20)); };  // tidy: allow(sleep) the load
  SchedulerOptions options = Quiet();
  options.pause_threshold = 0.1;
  Scheduler scheduler(options, log_);
  scheduler.Start(Counting());
  const absl::Time started = absl::Now();
  for (int i = 1; i <= 3; ++i) {
    scheduler.OnChange(Change::kReleased);
    ASSERT_TRUE(CountReaches(i));
  }
  // Between three collections of 20 ms lie two pauses of at least 180 ms.
  EXPECT_GE(absl::Now() - started, absl::Milliseconds(360));
}

TEST_F(SchedulerTest, StopEndsThoseWhoWait) {
  Scheduler scheduler(Quiet(), log_);
  EXPECT_EQ(scheduler.CollectNow(Soon()).code(), absl::StatusCode::kUnavailable);
  Notification inside;
  Notification release;
  during_ = [&] {
    inside.Notify();
    release.WaitForNotification();
  };
  scheduler.Start(Counting());
  std::thread first([&] { scheduler.CollectNow(Soon()).IgnoreError(); });
  inside.WaitForNotification();
  std::thread second(
      [&] { EXPECT_EQ(scheduler.CollectNow(Soon()).code(), absl::StatusCode::kUnavailable); });
  std::thread stopper([&] { scheduler.Stop(); });
  second.join();
  release.Notify();
  stopper.join();
  first.join();
}

}  // namespace
}  // namespace berth::gc
