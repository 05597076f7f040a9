#include "server/events/exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status/status_macros.h"
#include "server/events/event_fields.h"
#include "server/events/topic.h"
#include "server/filter/filter.h"
#include "server/metadata/identifiers.h"

namespace berth {
namespace {

void Stamp(EventEnvelope& envelope) {
  const absl::Time now = absl::Now();
  const int64_t nanoseconds = absl::ToUnixNanos(now);
  envelope.mutable_timestamp()->set_seconds(nanoseconds / 1'000'000'000);
  envelope.mutable_timestamp()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
}

}  // namespace

void Exchange::Publish(absl::string_view ns, absl::string_view topic,
                       const google::protobuf::Message& event) {
  google::protobuf::Any payload;
  payload.set_type_url(EventTypeUrl(event));
  event.SerializeToString(payload.mutable_value());
  // The stores check names before they commit, so a refusal here could only repeat itself.
  PublishAny(ns, topic, std::move(payload)).IgnoreError();
}

absl::Status Exchange::PublishAny(absl::string_view ns, absl::string_view topic,
                                  google::protobuf::Any event) {
  BERTH_RETURN_IF_ERROR(metadata::ValidateIdentifier(ns)) << "namespace of the event";
  BERTH_RETURN_IF_ERROR(ValidateTopic(topic)) << "publish";
  EventEnvelope envelope;
  Stamp(envelope);
  envelope.set_namespace_(std::string(ns));
  envelope.set_topic(std::string(topic));
  *envelope.mutable_event() = std::move(event);
  Distribute(std::move(envelope));
  return absl::OkStatus();
}

absl::Status Exchange::Forward(EventEnvelope envelope) {
  BERTH_RETURN_IF_ERROR(ValidateEnvelope(envelope)) << "forward";
  Distribute(std::move(envelope));
  return absl::OkStatus();
}

void Exchange::Distribute(EventEnvelope envelope) {
  LoggedEvent event{{}, std::make_shared<const EventEnvelope>(std::move(envelope))};
  std::vector<std::shared_ptr<const Subscription::OnReady>> told;
  std::vector<std::shared_ptr<Subscription>> held;  // the last reference may not die under mutex_
  {
    MutexLock lock(&mutex_);
    // First the log, so that nobody acts on an event that a restart would not know.
    if (log_ != nullptr) {
      last_ = log_->Append(*event.envelope);
    } else {
      ++last_.sequence;
    }
    event.cursor = last_;
    held.reserve(subscriptions_.size());
    size_t kept = 0;
    for (size_t i = 0; i < subscriptions_.size(); ++i) {
      std::shared_ptr<Subscription> subscription = subscriptions_[i].lock();
      if (subscription == nullptr) continue;
      if (kept != i) subscriptions_[kept] = std::move(subscriptions_[i]);
      ++kept;
      if (subscription->Offer(event)) told.push_back(subscription->on_ready_);
      held.push_back(std::move(subscription));
    }
    subscriptions_.resize(kept);
  }
  for (const auto& on_ready : told) (*on_ready)();
}

absl::StatusOr<std::shared_ptr<Subscription>> Exchange::Subscribe(
    const std::vector<std::string>& filters, Subscription::OnReady on_ready) {
  BERTH_ASSIGN_OR_RETURN(Filter filter, Filter::Compile(filters), _ << "subscribe");
  const auto subscription = std::make_shared<Subscription>(
      std::move(filter), std::move(on_ready),
      Subscription::Limits{.events = options_.queued_events, .bytes = options_.queued_bytes});
  MutexLock lock(&mutex_);
  BERTH_RETURN_IF_ERROR(Add(subscription));
  return subscription;
}

absl::StatusOr<std::shared_ptr<Subscription>> Exchange::SubscribeFrom(
    const std::vector<std::string>& filters, std::optional<EventCursor> from,
    Subscription::GapPolicy gaps, Subscription::OnReady on_ready) {
  if (log_ == nullptr) {
    if (!from.has_value()) return Subscribe(filters, std::move(on_ready));
    return absl::FailedPreconditionError("subscribe: events are not kept, so none can be resumed");
  }
  BERTH_ASSIGN_OR_RETURN(Filter filter, Filter::Compile(filters), _ << "subscribe");
  const auto subscription =
      std::make_shared<Subscription>(std::move(filter), std::move(on_ready),
                                     Subscription::Limits{.events = options_.logged_queued_events,
                                                          .bytes = options_.logged_queued_bytes});
  MutexLock lock(&mutex_);
  const EventCursor seen = log_->last();  // appended under mutex_ only
  subscription->UseLog(*log_, from.value_or(seen), seen, gaps);
  BERTH_RETURN_IF_ERROR(Add(subscription));
  return subscription;
}

absl::Status Exchange::Add(const std::shared_ptr<Subscription>& subscription) {
  if (closed_) return absl::UnavailableError("subscribe: the daemon is stopping");
  if (subscriptions_.size() >= options_.subscribers) {
    std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
  }
  if (subscriptions_.size() >= options_.subscribers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("subscribe: ", options_.subscribers, " clients listen already; close some"));
  }
  subscriptions_.push_back(subscription);
  return absl::OkStatus();
}

EventCursor Exchange::last() const {
  if (log_ != nullptr) return log_->last();
  MutexLock lock(&mutex_);
  return last_;
}

EventCursor Exchange::oldest() const { return log_ != nullptr ? log_->oldest() : last(); }

void Exchange::Close() {
  std::vector<std::shared_ptr<Subscription>> ended;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& weak : subscriptions_) {
      if (auto subscription = weak.lock()) ended.push_back(std::move(subscription));
    }
    subscriptions_.clear();
  }
  for (const auto& subscription : ended) {
    if (subscription->End(absl::UnavailableError("the daemon is stopping"))) {
      (*subscription->on_ready_)();
    }
  }
}

}  // namespace berth
