#include "server/api/events_ttrpc.h"

#include <string>
#include <utility>

#include "proto/containerd/services/ttrpc/events/v1/events.pb.h"

namespace berth {
namespace {

namespace api = containerd::services::events::ttrpc::v1;

// Each shim keeps one connection.
constexpr size_t kMaxShims = 65536;

EventEnvelope ToEnvelope(api::Envelope& from) {
  EventEnvelope envelope;
  if (from.has_timestamp()) *envelope.mutable_timestamp() = from.timestamp();
  envelope.set_namespace_(std::move(*from.mutable_namespace_()));
  envelope.set_topic(std::move(*from.mutable_topic()));
  if (from.has_event()) *envelope.mutable_event() = std::move(*from.mutable_event());
  return envelope;
}

}  // namespace

EventsTtrpc::EventsTtrpc(Loop& loop, Exchange& exchange) : server_(loop, kMaxShims) {
  server_.Register(
      "containerd.services.events.ttrpc.v1.Events", "Forward", [&exchange](ttrpc::Call call) {
        api::ForwardRequest request;
        if (!request.ParseFromString(call.payload())) {
          return call.Reply(absl::InvalidArgumentError("no ForwardRequest"));
        }
        const absl::Status status = exchange.Forward(ToEnvelope(*request.mutable_envelope()));
        if (!status.ok()) return call.Reply(status);
        call.Reply(std::string());  // google.protobuf.Empty
      });
}

}  // namespace berth
