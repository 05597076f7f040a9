#include "server/events/event_cursor.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace berth {

std::string EventCursor::ToString() const { return absl::StrCat(epoch, "-", sequence); }

absl::StatusOr<EventCursor> EventCursor::Parse(absl::string_view text) {
  const size_t dash = text.find('-');
  EventCursor cursor;
  if (dash == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, dash), &cursor.epoch) ||
      !absl::SimpleAtoi(text.substr(dash + 1), &cursor.sequence)) {
    return absl::InvalidArgumentError(
        absl::StrCat("event cursor \"", text,
                     "\" is not EPOCH-SEQUENCE; use one that came with "
                     "an event, \"now\" or \"oldest\""));
  }
  return cursor;
}

}  // namespace berth
