// The two messages that ttrpc frames carry, in protocol buffer wire form, coded by hand so that
// base/ needs no protobuf.
//
//   Request:  1 service  2 method  3 payload  4 timeout (ns)  5 metadata (1 key, 2 value), repeated
//   Response: 1 status (google.rpc.Status: 1 code, 2 message)  2 payload
//
// Unknown fields are skipped. Pure functions, thread-safe.
#ifndef BERTH_BASE_TTRPC_ENVELOPE_H_
#define BERTH_BASE_TTRPC_ENVELOPE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::ttrpc {

// Key and value; a key may repeat.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// The metadata key of the namespace; gRPC's is another.
inline constexpr char kNamespaceKey[] = "containerd-namespace-ttrpc";

struct Request {
  std::string service;
  std::string method;
  std::string payload;
  int64_t timeout_ns = 0;  // 0: no deadline
  Metadata metadata = {};
};

std::string EncodeRequest(const Request& request);
// Errors: INVALID_ARGUMENT for bytes that are no such message.
absl::StatusOr<Request> DecodeRequest(absl::string_view bytes);

// A payload, or the error in its stead.
std::string EncodeResponse(const absl::StatusOr<std::string>& result);
// The outer status: INVALID_ARGUMENT for bytes that are no response; otherwise the peer's answer.
absl::StatusOr<std::string> DecodeResponse(absl::string_view bytes);

}  // namespace berth::ttrpc

#endif  // BERTH_BASE_TTRPC_ENVELOPE_H_
