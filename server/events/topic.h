// The rules that an event's topic and envelope must keep before anybody may see it.
//
// A topic is "/" and then identifiers joined by "/": "/tasks/exit". Pure functions, thread-safe.
#ifndef BERTH_SERVER_EVENTS_TOPIC_H_
#define BERTH_SERVER_EVENTS_TOPIC_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/containerd/services/events/v1/events.pb.h"

namespace berth {

// Errors: INVALID_ARGUMENT naming the component that is wrong.
absl::Status ValidateTopic(absl::string_view topic);
// What a forwarded envelope must have: a timestamp, a valid namespace and a valid topic.
// Errors: INVALID_ARGUMENT.
absl::Status ValidateEnvelope(const containerd::services::events::v1::Envelope& envelope);

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_TOPIC_H_
