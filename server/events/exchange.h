// The place where every event of the daemon passes, and the queues of those who listen.
//
// Invariants: all subscribers see events in the same order; a publisher never waits for a
// subscriber; no queue holds more than its limits. A subscriber that falls behind them is ended
// with RESOURCE_EXHAUSTED instead of losing events unnoticed. There is no replay.
// Thread-safe. Owned by server/main; subscriptions may outlive it, but hear nothing more.
#ifndef BERTH_SERVER_EVENTS_EXCHANGE_H_
#define BERTH_SERVER_EVENTS_EXCHANGE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/any.pb.h"
#include "proto/containerd/services/events/v1/events.pb.h"
#include "server/events/event_sink.h"
#include "server/filter/filter.h"

namespace berth {

using EventEnvelope = containerd::services::events::v1::Envelope;

// One listener's queue. Thread-safe; owned by the listener, whose destruction of it unsubscribes.
class Subscription {
 public:
  // `on_ready` tells the owner that Next has something to say. It is called on a publisher's
  // thread: it must be quick, must not publish, and may come once more after the subscription is
  // destroyed, so it captures something shared.
  using OnReady = std::function<void()>;

  ~Subscription();
  // The oldest queued event; nullptr when there is none now. Errors: RESOURCE_EXHAUSTED after an
  // overflow and UNAVAILABLE after Exchange::Close, once the events queued before are taken.
  absl::StatusOr<std::shared_ptr<const EventEnvelope>> Next();

 private:
  friend class Exchange;
  struct Limits {
    size_t events;
    size_t bytes;
  };
  Subscription(Filter filter, OnReady on_ready, Limits limits)
      : filter_(std::move(filter)),
        on_ready_(std::make_shared<const OnReady>(std::move(on_ready))),
        limits_(limits) {}
  bool Matches(const EventEnvelope& envelope) const;
  // True if the owner is to be told.
  bool Offer(const std::shared_ptr<const EventEnvelope>& envelope);
  bool End(absl::Status reason);

  const Filter filter_;
  const std::shared_ptr<const OnReady> on_ready_;
  const Limits limits_;

  absl::Mutex mutex_;
  std::deque<std::shared_ptr<const EventEnvelope>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);  // not OK: nothing more is queued
};

class Exchange final : public EventSink {
 public:
  struct Options {
    size_t queued_events = 8192;      // per subscriber
    size_t queued_bytes = 16u << 20;  // per subscriber; an event counts its encoded size
    size_t subscribers = 4096;
  };
  Exchange() : Exchange(Options()) {}
  explicit Exchange(Options options) : options_(options) {}

  // Stamps the event with the time of the call. An event that breaks the rules is dropped.
  void Publish(absl::string_view ns, absl::string_view topic,
               const google::protobuf::Message& event) override;
  // What a client publishes. Errors: INVALID_ARGUMENT for a bad namespace or topic.
  absl::Status PublishAny(absl::string_view ns, absl::string_view topic,
                          google::protobuf::Any event);
  // Passes on an event that somebody else stamped. Errors: INVALID_ARGUMENT (see ValidateEnvelope).
  absl::Status Forward(EventEnvelope envelope);

  // From this call on, events that match any of `filters` (all events when there is none) are
  // queued. Errors: INVALID_ARGUMENT for a filter that does not parse, RESOURCE_EXHAUSTED,
  // UNAVAILABLE after Close.
  absl::StatusOr<std::shared_ptr<Subscription>> Subscribe(const std::vector<std::string>& filters,
                                                          Subscription::OnReady on_ready);
  // Ends every subscription with UNAVAILABLE: the daemon is going.
  void Close();

 private:
  void Distribute(EventEnvelope envelope);

  const Options options_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // Listeners own their subscriptions; those that are gone are swept while distributing.
  std::vector<std::weak_ptr<Subscription>> subscriptions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_EXCHANGE_H_
