// A position in the event log: an epoch and a sequence number, as text "<epoch>-<sequence>".
//
// Invariant: within a log, later events have greater cursors. The epoch rises when events that were
// told to somebody may be missing (a power cut), so that a number is never used for two events.
// Immutable value.
#ifndef BERTH_SERVER_EVENTS_EVENT_CURSOR_H_
#define BERTH_SERVER_EVENTS_EVENT_CURSOR_H_

#include <compare>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

struct EventCursor {
  uint64_t epoch = 0;
  uint64_t sequence = 0;

  auto operator<=>(const EventCursor&) const = default;
  std::string ToString() const;
  // Errors: INVALID_ARGUMENT.
  static absl::StatusOr<EventCursor> Parse(absl::string_view text);
};

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_EVENT_CURSOR_H_
