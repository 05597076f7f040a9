// Where the stores say what they did: the one thing that a store needs to know about events.
//
// Invariant: Publish never blocks and never fails the caller; an event that breaks the rules for
// topics and namespaces is dropped with a log line, because by then the deed is done. Thread-safe.
// Owned by server/main; the stores borrow it.
#ifndef BERTH_SERVER_EVENTS_EVENT_SINK_H_
#define BERTH_SERVER_EVENTS_EVENT_SINK_H_

#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace berth {

class EventSink {
 public:
  virtual ~EventSink() = default;
  // Tells everybody who listens that `event` (a containerd.events message) happened in namespace
  // `ns` under `topic` ("/containers/create"). Call it after the commit, never before.
  virtual void Publish(absl::string_view ns, absl::string_view topic,
                       const google::protobuf::Message& event) = 0;
};

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_EVENT_SINK_H_
