// The events of a shim on their way to the daemon: ttrpc Forward, one at a time, in order.
//
// Invariant: an event leaves the queue when the daemon has acknowledged it, or refused it for good;
// while the daemon is away the queue keeps trying, for ever. Beyond kMaxQueued the oldest event
// that is not kExit is dropped: those are as many as processes, which have a bound of their own.
// What must survive the shim is in its journal. Loop-only. Owned by main.
#ifndef BERTH_SHIM_SERVICE_EVENT_QUEUE_H_
#define BERTH_SHIM_SERVICE_EVENT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/ttrpc/client.h"

namespace berth::service {

inline constexpr size_t kMaxQueued = 1024;

class EventQueue {
 public:
  enum class Weight { kNormal, kExit };
  using OnAcknowledged = absl::AnyInvocable<void()>;

  // `address`: the path of the daemon's ttrpc socket; empty where nobody listens: events are then
  // dropped.
  EventQueue(Loop& loop, std::string address, std::string namespace_name);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Appends `message`, a serialized `type` (such as "containerd.events.TaskExit"), with the time of
  // this call. `on_acknowledged` runs from the loop, or never.
  void Publish(absl::string_view topic, absl::string_view type, absl::string_view message,
               Weight weight, OnAcknowledged on_acknowledged);
  // Runs `flushed` once, from the loop, when the queue is empty or `limit` is over.
  void Flush(absl::Duration limit, absl::AnyInvocable<void()> flushed);
  uint64_t dropped() const { return dropped_; }

 private:
  struct Event {
    std::string request;  // a serialized ForwardRequest
    Weight weight = Weight::kNormal;
    OnAcknowledged on_acknowledged;
    int refusals = 0;
  };
  void Send();
  void OnAnswer(const absl::Status& status);
  void RetryLater();
  void CheckFlushed();

  Loop& loop_;
  const std::string address_;
  const std::string namespace_;
  std::deque<Event> events_;
  bool in_flight_ = false;  // the first event has been sent
  std::unique_ptr<ttrpc::Client> client_;
  absl::Duration backoff_;
  TimerId retry_timer_ = TimerId::kNone;
  TimerId flush_timer_ = TimerId::kNone;
  absl::AnyInvocable<void()> flushed_;
  uint64_t dropped_ = 0;
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_EVENT_QUEUE_H_
