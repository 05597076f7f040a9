// The locks of programs with threads: Mutex, MutexLock, CondVar, Notification.
//
// Abseil's, by alias. Under ThreadSanitizer, which does not see the locks of Debian's
// uninstrumented Abseil, they are classes of the same interface on std::mutex (tests/sanitize/run
// --thread). absl::Condition serves both. Thread-safe, as locks are.
#ifndef BERTH_BASE_OS_MUTEX_H_
#define BERTH_BASE_OS_MUTEX_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

#ifdef __SANITIZE_THREAD__

#include <condition_variable>
#include <mutex>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace berth {

// Invariant: whoever gives the lock up wakes those in Await, which then ask for their condition
// again.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    changed_.notify_all();
    mutex_.unlock();
  }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

  void Await(const absl::Condition& condition) {
    AwaitWithTimeout(condition, absl::InfiniteDuration());
  }
  // Whether the condition held in time.
  bool AwaitWithTimeout(const absl::Condition& condition, absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + timeout;
    while (!condition.Eval()) {
      if (!Wait(changed_, deadline)) return condition.Eval();
    }
    return true;
  }

 private:
  friend class CondVar;
  // False after the deadline. The system's clock: a wait by the steady one is not among what
  // ThreadSanitizer knows.
  bool Wait(std::condition_variable& signal, absl::Time deadline) {
    std::unique_lock<std::mutex> held(mutex_, std::adopt_lock);
    changed_.notify_all();
    bool in_time = true;
    if (deadline == absl::InfiniteFuture()) {
      signal.wait(held);
    } else {
      in_time = signal.wait_until(held, absl::ToChronoTime(deadline)) == std::cv_status::no_timeout;
    }
    held.release();
    return in_time;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  MutexLock(Mutex* mutex, const absl::Condition& condition) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : MutexLock(mutex) {
    mutex_->Await(condition);
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  void Wait(Mutex* mutex) { mutex->Wait(signal_, absl::InfiniteFuture()); }
  // True when the time was over, as Abseil has it.
  bool WaitWithDeadline(Mutex* mutex, absl::Time deadline) {
    return !mutex->Wait(signal_, deadline);
  }
  bool WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
    return WaitWithDeadline(mutex, absl::Now() + timeout);
  }
  void Signal() { signal_.notify_one(); }
  void SignalAll() { signal_.notify_all(); }

 private:
  std::condition_variable signal_;
};

// As Abseil's, it may be destroyed by the one it woke: the destructor waits for Notify to let go.
class Notification {
 public:
  ~Notification() { MutexLock lock(&mutex_); }
  bool HasBeenNotified() const {
    MutexLock lock(&mutex_);
    return notified_;
  }
  void Notify() {
    MutexLock lock(&mutex_);
    notified_ = true;
  }
  void WaitForNotification() const { MutexLock lock(&mutex_, absl::Condition(&notified_)); }
  bool WaitForNotificationWithTimeout(absl::Duration timeout) const {
    MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&notified_), timeout);
  }

 private:
  mutable Mutex mutex_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth

#else

namespace berth {

using absl::CondVar;
using absl::Mutex;
using absl::MutexLock;
using absl::Notification;

}  // namespace berth

#endif

#endif  // BERTH_BASE_OS_MUTEX_H_
