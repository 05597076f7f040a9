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
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/ttrpc/client.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class QueuedEvent;
class ShimState;
}  // namespace berth::shim::v1

namespace berth::service {

inline constexpr size_t kMaxQueued = 1024;

class EventQueue {
 public:
  enum class Weight { kNormal, kExit };
  using OnAcknowledged = absl::AnyInvocable<void()>;

  // What an acknowledgement does, in words that another program understands.
  struct Then {
    enum class Kind {
      kNothing,
      kOther,       // only the function knows: its event cannot change hands
      kExit,        // the journal's record of the exit of `exec_id` is marked
      kGeneration,  // and that of the end of `generation` goes
    } kind = Kind::kNothing;
    std::string task = "";
    std::string exec_id = "";
    uint32_t generation = 0;
  };
  // Makes the function of a Then; may be null.
  using Bind = absl::FunctionRef<OnAcknowledged(const Then& then)>;

  // `address`: the path of the daemon's ttrpc socket; empty where nobody listens: events are then
  // dropped.
  EventQueue(Loop& loop, std::string address, std::string namespace_name);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Appends `message`, a serialized `type` (such as "containerd.events.TaskExit"), with the time of
  // this call. `on_acknowledged` runs from the loop, or never.
  void Publish(absl::string_view topic, absl::string_view type, absl::string_view message,
               Weight weight, OnAcknowledged on_acknowledged, Then then);
  // For the program that this one becomes, and in it. The connection to the daemon is given up: an
  // event is sent again by who comes. Errors of Save: UNAVAILABLE while one is on its way, or
  // cannot change hands.
  absl::Status Save(handover::Packer& packer, berth::shim::v1::ShimState& state);
  void Resume(const berth::shim::v1::ShimState& state, Bind bind);
  // Runs `flushed` once, from the loop, when the queue is empty or `limit` is over.
  void Flush(absl::Duration limit, absl::AnyInvocable<void()> flushed);
  uint64_t dropped() const { return dropped_; }

 private:
  struct Event {
    std::string request;  // a serialized ForwardRequest
    Weight weight = Weight::kNormal;
    OnAcknowledged on_acknowledged;
    Then then;
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
