// A sample of resource use, or an event, as JSON: protobuf messages whose type only their Any
// names. Pure functions.
#ifndef BERTH_CLIENT_COMMANDS_PAYLOAD_DOCUMENT_H_
#define BERTH_CLIENT_COMMANDS_PAYLOAD_DOCUMENT_H_

#include <google/protobuf/any.pb.h>

#include "client/sdk/json_access.h"
#include "proto/containerd/types/metrics.pb.h"

namespace berth::client {

// The message inside, by the field names of its .proto; {"type_url", "value" in base64} for a type
// that this program does not know.
Json PayloadDocument(const google::protobuf::Any& any);

Json MetricDocument(const containerd::types::Metric& metric);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_PAYLOAD_DOCUMENT_H_
