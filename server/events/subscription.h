// One listener's queue of events.
//
// A subscription that can read the event log holds few events in memory: when it has fallen behind
// its queue's limits, further events are left to the log, and its owner has it read them (CatchUp)
// when the queue is empty. Another one is ended with RESOURCE_EXHAUSTED instead of losing events
// unnoticed.
//
// Invariants: events come in order, each once; the queue never holds more than its limits (or one
// batch of the log). Thread-safe; owned by the listener, whose destruction of it unsubscribes.
#ifndef BERTH_SERVER_EVENTS_SUBSCRIPTION_H_
#define BERTH_SERVER_EVENTS_SUBSCRIPTION_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"
#include "server/events/event_cursor.h"
#include "server/events/event_log.h"
#include "server/filter/filter.h"

namespace berth {

class Subscription {
 public:
  // `on_ready` tells the owner that Next has something to say. It is called on a publisher's
  // thread: it must be quick, must not publish, and may come once more after the subscription is
  // destroyed, so it captures something shared.
  using OnReady = std::function<void()>;
  // What happens where events cannot be told any more.
  enum class GapPolicy {
    kEnd,   // the subscription ends with RESOURCE_EXHAUSTED
    kTell,  // an event of our own says so (proto/berth/events/v1), past every filter
  };
  struct Limits {
    size_t events;
    size_t bytes;
  };
  static constexpr size_t kCatchUpBytes = 256u << 10;

  Subscription(Filter filter, OnReady on_ready, Limits limits)
      : filter_(std::move(filter)),
        on_ready_(std::make_shared<const OnReady>(std::move(on_ready))),
        limits_(limits) {}
  ~Subscription();

  // The oldest queued event; one without envelope when there is none now. Errors:
  // RESOURCE_EXHAUSTED after an overflow or a gap, and UNAVAILABLE after Exchange::Close, once the
  // events queued before are taken.
  absl::StatusOr<LoggedEvent> NextEvent();
  // Its envelope alone.
  absl::StatusOr<std::shared_ptr<const EventEnvelope>> Next();
  // The queue is empty and CatchUp has more.
  bool IsBehind() const;
  // Fills the queue from the log. Only the owner calls it, one call at a time. Blocks (file reads).
  void CatchUp();

 private:
  friend class Exchange;
  // Called by the exchange before anybody else knows the subscription; `seen` is the last event
  // that was published.
  void UseLog(EventLog& log, EventCursor after, EventCursor seen, GapPolicy gaps);
  bool Matches(const EventEnvelope& envelope) const;
  // Takes each event that is published, in order, whether or not it matches. True if the owner is
  // to be told.
  bool Offer(const LoggedEvent& event);
  bool End(absl::Status reason);
  void Add(LoggedEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TellGap(const EventGap& gap) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Filter filter_;
  const std::shared_ptr<const OnReady> on_ready_;
  const Limits limits_;
  EventLog* log_ = nullptr;  // set before it is shared
  GapPolicy gaps_ = GapPolicy::kEnd;
  EventLog::Position position_;  // belongs to CatchUp while behind_

  mutable Mutex mutex_;
  std::deque<LoggedEvent> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool behind_ ABSL_GUARDED_BY(mutex_) = false;  // later events are left to the log
  EventCursor seen_ ABSL_GUARDED_BY(mutex_);     // the last one that was offered
  absl::Status end_ ABSL_GUARDED_BY(mutex_);     // not OK: nothing more is queued
};

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_SUBSCRIPTION_H_
