#include "server/events/exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status/status_macros.h"
#include "server/events/event_fields.h"
#include "server/events/topic.h"
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

Subscription::~Subscription() = default;

bool Subscription::Matches(const EventEnvelope& envelope) const {
  EventFields fields(envelope);
  return filter_.Matches(
      [&fields](const std::vector<std::string>& path) { return fields.Find(path); });
}

bool Subscription::Offer(const std::shared_ptr<const EventEnvelope>& envelope) {
  absl::MutexLock lock(&mutex_);
  if (!end_.ok()) return false;
  const size_t bytes = envelope->ByteSizeLong();
  if (queue_.size() >= limits_.events ||
      (!queue_.empty() && queued_bytes_ + bytes > limits_.bytes)) {
    end_ = absl::ResourceExhaustedError(
        absl::StrCat("this subscriber fell behind: ", queue_.size(), " events (", queued_bytes_,
                     " bytes) wait to be read; subscribe again and read the state anew"));
    return true;
  }
  queue_.push_back(envelope);
  queued_bytes_ += bytes;
  return true;
}

bool Subscription::End(absl::Status reason) {
  absl::MutexLock lock(&mutex_);
  if (!end_.ok()) return false;
  end_ = std::move(reason);
  return true;
}

absl::StatusOr<std::shared_ptr<const EventEnvelope>> Subscription::Next() {
  absl::MutexLock lock(&mutex_);
  if (queue_.empty()) {
    if (!end_.ok()) return end_;
    return std::shared_ptr<const EventEnvelope>();
  }
  std::shared_ptr<const EventEnvelope> envelope = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= envelope->ByteSizeLong();
  return envelope;
}

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
  const auto shared = std::make_shared<const EventEnvelope>(std::move(envelope));
  std::vector<std::shared_ptr<const Subscription::OnReady>> told;
  std::vector<std::shared_ptr<Subscription>> held;  // the last reference may not die under mutex_
  {
    absl::MutexLock lock(&mutex_);
    held.reserve(subscriptions_.size());
    size_t kept = 0;
    for (size_t i = 0; i < subscriptions_.size(); ++i) {
      std::shared_ptr<Subscription> subscription = subscriptions_[i].lock();
      if (subscription == nullptr) continue;
      if (kept != i) subscriptions_[kept] = std::move(subscriptions_[i]);
      ++kept;
      if (subscription->Matches(*shared) && subscription->Offer(shared)) {
        told.push_back(subscription->on_ready_);
      }
      held.push_back(std::move(subscription));
    }
    subscriptions_.resize(kept);
  }
  for (const auto& on_ready : told) (*on_ready)();
}

absl::StatusOr<std::shared_ptr<Subscription>> Exchange::Subscribe(
    const std::vector<std::string>& filters, Subscription::OnReady on_ready) {
  BERTH_ASSIGN_OR_RETURN(Filter filter, Filter::Compile(filters), _ << "subscribe");
  const std::shared_ptr<Subscription> subscription(
      new Subscription(std::move(filter), std::move(on_ready),
                       {.events = options_.queued_events, .bytes = options_.queued_bytes}));
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("subscribe: the daemon is stopping");
  if (subscriptions_.size() >= options_.subscribers) {
    std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
  }
  if (subscriptions_.size() >= options_.subscribers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("subscribe: ", options_.subscribers, " clients listen already; close some"));
  }
  subscriptions_.push_back(subscription);
  return subscription;
}

void Exchange::Close() {
  std::vector<std::shared_ptr<Subscription>> ended;
  {
    absl::MutexLock lock(&mutex_);
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
