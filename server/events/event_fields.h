// An envelope as filters see it: the fields "namespace", "topic" and "event.<field>".
//
// The payload is decoded once, and only if a filter asks for one of its fields. Message types that
// this program does not know, or bytes that do not decode, have no fields. Thread-compatible; lives
// on the stack of whoever matches one envelope against filters.
#ifndef BERTH_SERVER_EVENTS_EVENT_FIELDS_H_
#define BERTH_SERVER_EVENTS_EVENT_FIELDS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "proto/containerd/services/events/v1/events.pb.h"

namespace berth {

class EventFields {
 public:
  // `envelope` must outlive this.
  explicit EventFields(const containerd::services::events::v1::Envelope& envelope)
      : envelope_(envelope) {}

  // The value at `path`, or nothing where the event has no such field.
  std::optional<std::string> Find(const std::vector<std::string>& path);

 private:
  const google::protobuf::Message* Payload();

  const containerd::services::events::v1::Envelope& envelope_;
  bool decoded_ = false;
  std::unique_ptr<google::protobuf::Message> payload_;
};

// The type URL under which containerd's clients know a message: its bare full name.
std::string EventTypeUrl(const google::protobuf::Message& event);

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_EVENT_FIELDS_H_
