#include "shim/service/event_queue.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "proto/containerd/services/ttrpc/events/v1/events.pb.h"
#include "shim/handover/packer.h"
#include "shim/service/timestamp.h"

namespace berth::service {
namespace {

constexpr char kService[] = "containerd.services.events.ttrpc.v1.Events";
constexpr absl::Duration kCallTimeout = absl::Seconds(5);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(20);
constexpr absl::Duration kLongestBackoff = absl::Seconds(2);
// How often a daemon that answers may refuse one event before it is given up.
constexpr int kMaxRefusals = 5;

bool DaemonIsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

}  // namespace

EventQueue::EventQueue(Loop& loop, std::string address, std::string namespace_name)
    : loop_(loop),
      address_(absl::StripPrefix(address, "unix://")),
      namespace_(std::move(namespace_name)),
      backoff_(kFirstBackoff) {}

EventQueue::~EventQueue() {
  loop_.Cancel(retry_timer_);
  loop_.Cancel(flush_timer_);
}

void EventQueue::Publish(absl::string_view topic, absl::string_view type, absl::string_view message,
                         Weight weight, OnAcknowledged on_acknowledged, Then then) {
  if (address_.empty()) return;
  containerd::services::events::ttrpc::v1::ForwardRequest request;
  auto& envelope = *request.mutable_envelope();
  SetTimestamp(absl::Now(), envelope.mutable_timestamp());
  envelope.set_namespace_(namespace_);
  envelope.set_topic(topic.data(), topic.size());
  envelope.mutable_event()->set_type_url(type.data(), type.size());
  envelope.mutable_event()->set_value(message.data(), message.size());
  if (events_.size() >= kMaxQueued) {
    const auto victim =
        std::find_if(events_.begin() + (in_flight_ ? 1 : 0), events_.end(),
                     [](const Event& event) { return event.weight == Weight::kNormal; });
    if (victim != events_.end()) {
      events_.erase(victim);
      ++dropped_;
    }
  }
  Event& event = events_.emplace_back();
  event.request = request.SerializeAsString();
  event.weight = weight;
  event.on_acknowledged = std::move(on_acknowledged);
  event.then = std::move(then);
  if (events_.size() == 1) Send();
}

void EventQueue::Send() {
  if (events_.empty() || in_flight_) return;
  if (client_ == nullptr) {
    // Non-blocking: connect(2) waits when the daemon's backlog is full.
    auto socket = ConnectUnix(address_, SOCK_NONBLOCK);
    if (!socket.ok()) return RetryLater();
    client_ = std::make_unique<ttrpc::Client>(loop_, *std::move(socket),
                                              [this](const absl::Status&) { client_.reset(); });
  }
  in_flight_ = true;
  client_->Call(kService, "Forward", events_.front().request, {{ttrpc::kNamespaceKey, namespace_}},
                kCallTimeout,
                [this](absl::StatusOr<std::string> answer) { OnAnswer(answer.status()); });
}

void EventQueue::OnAnswer(const absl::Status& status) {
  in_flight_ = false;
  Event& event = events_.front();
  const bool away = DaemonIsAway(status);
  if (!status.ok() && (away || ++event.refusals < kMaxRefusals)) {
    // A daemon that does not answer in time gets a new connection. Not from inside the client's
    // own callback, though: RetryLater's timer makes it.
    if (absl::IsDeadlineExceeded(status) && client_ != nullptr) {
      loop_.Post([old = std::shared_ptr<ttrpc::Client>(std::move(client_))] {});
    }
    return RetryLater();
  }
  if (!status.ok()) ++dropped_;
  OnAcknowledged on_acknowledged = std::move(event.on_acknowledged);
  events_.pop_front();
  backoff_ = kFirstBackoff;
  if (status.ok() && on_acknowledged) on_acknowledged();
  Send();
  CheckFlushed();
}

absl::Status EventQueue::Save(handover::Packer& packer, berth::shim::v1::ShimState& state) {
  if (in_flight_ || flushed_) return absl::UnavailableError("an event is on its way");
  client_.reset();
  for (const Event& event : events_) {
    if (event.then.kind == Then::Kind::kOther) {
      return absl::UnavailableError("the daemon has not acknowledged a delete yet");
    }
    auto& saved = *state.add_events();
    saved.set_request(event.request);
    saved.set_is_exit(event.weight == Weight::kExit);
    saved.set_refusals(event.refusals);
    saved.set_task(event.then.task);
    saved.set_exec_id(event.then.exec_id);
    saved.set_generation(event.then.generation);
    if (event.then.kind == Then::Kind::kExit) saved.set_then(berth::shim::v1::QueuedEvent::EXIT);
    if (event.then.kind == Then::Kind::kGeneration) {
      saved.set_then(berth::shim::v1::QueuedEvent::GENERATION);
    }
  }
  state.set_dropped_events(dropped_);
  packer.Count(retry_timer_);
  return absl::OkStatus();
}

void EventQueue::Resume(const berth::shim::v1::ShimState& state, Bind bind) {
  for (const auto& saved : state.events()) {
    Event& event = events_.emplace_back();
    event.request = saved.request();
    event.weight = saved.is_exit() ? Weight::kExit : Weight::kNormal;
    event.refusals = static_cast<int>(saved.refusals());
    event.then.task = saved.task();
    event.then.exec_id = saved.exec_id();
    event.then.generation = saved.generation();
    if (saved.then() == berth::shim::v1::QueuedEvent::EXIT) {
      event.then.kind = Then::Kind::kExit;
    } else if (saved.then() == berth::shim::v1::QueuedEvent::GENERATION) {
      event.then.kind = Then::Kind::kGeneration;
    }
    if (event.then.kind != Then::Kind::kNothing) event.on_acknowledged = bind(event.then);
  }
  dropped_ = state.dropped_events();
  if (!events_.empty()) retry_timer_ = loop_.After(absl::ZeroDuration(), [this] { Send(); });
}

void EventQueue::RetryLater() {
  loop_.Cancel(retry_timer_);
  retry_timer_ = loop_.After(backoff_, [this] { Send(); });
  backoff_ = std::min(backoff_ * 2, kLongestBackoff);
}

void EventQueue::Flush(absl::Duration limit, absl::AnyInvocable<void()> flushed) {
  flushed_ = std::move(flushed);
  loop_.Cancel(flush_timer_);
  flush_timer_ = loop_.After(events_.empty() ? absl::ZeroDuration() : limit, [this] {
    auto done = std::move(flushed_);
    if (done) done();
  });
}

void EventQueue::CheckFlushed() {
  if (!flushed_ || !events_.empty()) return;
  loop_.Cancel(flush_timer_);
  auto done = std::move(flushed_);
  done();
}

}  // namespace berth::service
