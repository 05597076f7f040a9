// The locks of the whole program: Abseil's, and under ThreadSanitizer the standard library's.
//
// Debian's Abseil is not instrumented, so ThreadSanitizer would not see that its mutex orders
// anything, and would call every guarded member a race. A build for it therefore gets the same
// interface over std::mutex, which it intercepts. Waiting there wakes every waiter at each unlock:
// right, not quick. Thread-safe.
#ifndef BERTH_BASE_OS_MUTEX_H_
#define BERTH_BASE_OS_MUTEX_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

#ifdef __SANITIZE_THREAD__
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#endif

namespace berth {

#ifndef __SANITIZE_THREAD__

using Mutex = absl::Mutex;
using MutexLock = absl::MutexLock;
using CondVar = absl::CondVar;
using Notification = absl::Notification;

#else

class CondVar;

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    if (waiters_ > 0) changed_.notify_all();
    mutex_.unlock();
  }

  void Await(const absl::Condition& condition) {
    AwaitWithDeadline(condition, absl::InfiniteFuture());
  }
  bool AwaitWithTimeout(const absl::Condition& condition, absl::Duration timeout) {
    return AwaitWithDeadline(condition, absl::Now() + timeout);
  }
  // What the condition says at the end. The mutex is held before and after.
  bool AwaitWithDeadline(const absl::Condition& condition, absl::Time deadline) {
    while (!condition.Eval()) {
      // The caller has changed things under this hold, which others may wait for.
      if (waiters_ > 0) changed_.notify_all();
      ++waiters_;
      const bool in_time = WaitOn(changed_, deadline);
      --waiters_;
      if (!in_time) return condition.Eval();
    }
    return true;
  }

 private:
  friend class CondVar;

  // False once the deadline has passed.
  bool WaitOn(std::condition_variable& variable, absl::Time deadline) {
    std::unique_lock<std::mutex> hold(mutex_, std::adopt_lock);
    bool in_time = true;
    if (deadline == absl::InfiniteFuture()) {
      variable.wait(hold);
    } else {
      const auto left = absl::ToChronoNanoseconds(deadline - absl::Now());
      in_time = variable.wait_for(hold, left) == std::cv_status::no_timeout;
    }
    hold.release();
    return in_time;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int waiters_ = 0;  // guarded by mutex_
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(*mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  void Wait(Mutex* mutex) { WaitWithDeadline(mutex, absl::InfiniteFuture()); }
  bool WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
    return WaitWithDeadline(mutex, absl::Now() + timeout);
  }
  // True once the deadline has passed, as Abseil's.
  bool WaitWithDeadline(Mutex* mutex, absl::Time deadline) {
    if (mutex->waiters_ > 0) mutex->changed_.notify_all();
    return !mutex->WaitOn(variable_, deadline);
  }
  void Signal() { variable_.notify_one(); }
  void SignalAll() { variable_.notify_all(); }

 private:
  std::condition_variable variable_;
};

class Notification {
 public:
  // Abseil's may be destroyed as soon as a waiter has seen it; so here the lock is held throughout.
  void Notify() {
    MutexLock hold(&mutex_);
    notified_ = true;
  }
  bool HasBeenNotified() const {
    MutexLock hold(&mutex_);
    return notified_;
  }
  void WaitForNotification() const {
    MutexLock hold(&mutex_);
    mutex_.Await(absl::Condition(&notified_));
  }
  bool WaitForNotificationWithTimeout(absl::Duration timeout) const {
    MutexLock hold(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&notified_), timeout);
  }

 private:
  mutable Mutex mutex_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

#endif

}  // namespace berth

#endif  // BERTH_BASE_OS_MUTEX_H_
