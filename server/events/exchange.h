// The place where every event of the daemon passes, and the queues of those who listen.
//
// Invariants: an event is in the event log (where there is one) before anybody sees it; all
// subscribers see events in the same order; a publisher never waits for a subscriber; no queue
// holds more than its limits. Who falls behind them reads on from the log, or is ended with
// RESOURCE_EXHAUSTED; see subscription.h. Thread-safe. Owned by server/main; subscriptions may
// outlive it, but hear nothing more.
#ifndef BERTH_SERVER_EVENTS_EXCHANGE_H_
#define BERTH_SERVER_EVENTS_EXCHANGE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"
#include "google/protobuf/any.pb.h"
#include "proto/containerd/services/events/v1/events.pb.h"
#include "server/events/event_cursor.h"
#include "server/events/event_log.h"
#include "server/events/event_sink.h"
#include "server/events/subscription.h"

namespace berth {

class Exchange final : public EventSink {
 public:
  struct Options {
    size_t queued_events = 8192;      // per subscriber
    size_t queued_bytes = 16u << 20;  // per subscriber; an event counts its encoded size
    // The same for one that reads the log where it falls behind.
    size_t logged_queued_events = 512;
    size_t logged_queued_bytes = 1u << 20;
    size_t subscribers = 4096;
  };
  Exchange() : Exchange(Options()) {}
  explicit Exchange(Options options, EventLog* log = nullptr) : options_(options), log_(log) {}

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
  // The same for one who reads events from the log when it falls behind. Events after `from` come
  // first; without it, from this call on. Without a log it is Subscribe, and `from` is an error.
  // Errors: as Subscribe; FAILED_PRECONDITION.
  absl::StatusOr<std::shared_ptr<Subscription>> SubscribeFrom(
      const std::vector<std::string>& filters, std::optional<EventCursor> from,
      Subscription::GapPolicy gaps, Subscription::OnReady on_ready);
  // Of the last event; a subscription from it misses nothing that comes after this call.
  EventCursor last() const;
  // Before the oldest event that can be had.
  EventCursor oldest() const;

  // Ends every subscription with UNAVAILABLE: the daemon is going.
  void Close();

 private:
  void Distribute(EventEnvelope envelope);
  absl::Status Add(const std::shared_ptr<Subscription>& subscription)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  EventLog* const log_;
  mutable Mutex mutex_;
  EventCursor last_ ABSL_GUARDED_BY(mutex_);  // without a log: an epoch of 0
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // Listeners own their subscriptions; those that are gone are swept while distributing.
  std::vector<std::weak_ptr<Subscription>> subscriptions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_EXCHANGE_H_
