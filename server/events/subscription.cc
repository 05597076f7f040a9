#include "server/events/subscription.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/berth/events/v1/events.pb.h"
#include "server/events/event_fields.h"

namespace berth {
namespace {

namespace v1 = berth::events::v1;

v1::Gap::Reason ToProto(EventGap::Reason reason) {
  switch (reason) {
    case EventGap::Reason::kRetention:
      return v1::Gap::REASON_RETENTION;
    case EventGap::Reason::kPowerCut:
      return v1::Gap::REASON_POWER_CUT;
    case EventGap::Reason::kNotWritten:
      return v1::Gap::REASON_NOT_WRITTEN;
    case EventGap::Reason::kUnknownCursor:
      return v1::Gap::REASON_UNKNOWN_CURSOR;
  }
  return v1::Gap::REASON_UNSPECIFIED;
}

LoggedEvent GapEvent(const EventGap& gap) {
  v1::Gap message;
  message.set_reason(ToProto(gap.reason));
  message.set_lost_events(gap.lost_events);
  message.set_after(gap.after.ToString());
  if (gap.before != EventCursor{}) message.set_before(gap.before.ToString());
  auto envelope = std::make_shared<EventEnvelope>();
  const int64_t nanoseconds = absl::ToUnixNanos(absl::Now());
  envelope->mutable_timestamp()->set_seconds(nanoseconds / 1'000'000'000);
  envelope->mutable_timestamp()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
  envelope->set_namespace_("berth");
  envelope->set_topic("/berth/events/gap");
  envelope->mutable_event()->set_type_url(EventTypeUrl(message));
  message.SerializeToString(envelope->mutable_event()->mutable_value());
  return {gap.after, std::move(envelope)};
}

}  // namespace

Subscription::~Subscription() = default;

void Subscription::UseLog(EventLog& log, EventCursor after, EventCursor seen, GapPolicy gaps) {
  log_ = &log;
  gaps_ = gaps;
  position_ = {.after = after};
  MutexLock lock(&mutex_);
  seen_ = seen;
  behind_ = after != seen;
}

bool Subscription::Matches(const EventEnvelope& envelope) const {
  EventFields fields(envelope);
  return filter_.Matches(
      [&fields](const std::vector<std::string>& path) { return fields.Find(path); });
}

void Subscription::Add(LoggedEvent event) {
  queued_bytes_ += event.envelope->ByteSizeLong();
  queue_.push_back(std::move(event));
}

bool Subscription::Offer(const LoggedEvent& event) {
  const bool matches = Matches(*event.envelope);
  MutexLock lock(&mutex_);
  // CatchUp may have read it from the log a moment before it was offered.
  const bool is_new = log_ == nullptr || event.cursor > seen_;
  if (is_new) seen_ = event.cursor;
  if (!matches || !is_new || !end_.ok()) return false;
  if (behind_) return true;
  const size_t bytes = event.envelope->ByteSizeLong();
  if (queue_.size() < limits_.events &&
      (queue_.empty() || queued_bytes_ + bytes <= limits_.bytes)) {
    Add(event);
    return true;
  }
  if (log_ != nullptr) {
    behind_ = true;
    position_ = {.after = {event.cursor.epoch, event.cursor.sequence - 1}};
    return true;
  }
  end_ = absl::ResourceExhaustedError(
      absl::StrCat("this subscriber fell behind: ", queue_.size(), " events (", queued_bytes_,
                   " bytes) wait to be read; subscribe again and read the state anew"));
  return true;
}

bool Subscription::End(absl::Status reason) {
  MutexLock lock(&mutex_);
  if (!end_.ok()) return false;
  end_ = std::move(reason);
  return true;
}

absl::StatusOr<LoggedEvent> Subscription::NextEvent() {
  MutexLock lock(&mutex_);
  if (queue_.empty()) {
    if (!end_.ok()) return end_;
    return LoggedEvent();
  }
  LoggedEvent event = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= event.envelope->ByteSizeLong();
  return event;
}

absl::StatusOr<std::shared_ptr<const EventEnvelope>> Subscription::Next() {
  absl::StatusOr<LoggedEvent> event = NextEvent();
  if (!event.ok()) return event.status();
  return std::move(event->envelope);
}

bool Subscription::IsBehind() const {
  MutexLock lock(&mutex_);
  return behind_ && queue_.empty() && end_.ok();
}

// False: the subscription ends here.
bool Subscription::TellGap(const EventGap& gap) {
  if (gaps_ == GapPolicy::kTell) {
    Add(GapEvent(gap));
    return true;
  }
  end_ = absl::ResourceExhaustedError(absl::StrCat(
      "events are lost for this subscriber (",
      gap.lost_events == 0 ? std::string("how many is not known") : absl::StrCat(gap.lost_events),
      ", after ", gap.after.ToString(), "): subscribe again and read the state anew"));
  return false;
}

void Subscription::CatchUp() {
  absl::StatusOr<EventLog::Batch> batch = log_->Read(position_, kCatchUpBytes);
  if (!batch.ok()) {
    End(batch.status());
    return;
  }
  std::erase_if(batch->events,
                [this](const LoggedEvent& event) { return !Matches(*event.envelope); });
  MutexLock lock(&mutex_);
  if (!end_.ok()) return;
  if (batch->gap.has_value() && !TellGap(*batch->gap)) return;
  for (LoggedEvent& event : batch->events) Add(std::move(event));
  if (position_.after < seen_) return;
  behind_ = false;
  seen_ = position_.after;
}

}  // namespace berth
