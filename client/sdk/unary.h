// One request, one response, on the calling thread: what every typed client's method does.
// Thread-safe function. Only this folder's sources include it.
#ifndef BERTH_CLIENT_SDK_UNARY_H_
#define BERTH_CLIENT_SDK_UNARY_H_

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "client/sdk/connection.h"

namespace berth::client {

// Calls `method` of `stub` with the headers of `connection`. Blocks: up to `timeout`.
template <typename Stub, typename Owner, typename Request, typename Response>
absl::StatusOr<Response> Unary(const Connection& connection, Stub& stub,
                               grpc::Status (Owner::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                               const Request& request, absl::Duration timeout = kCallTimeout) {
  grpc::ClientContext context;
  connection.Prepare(context, timeout);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return connection.ToStatus(status);
  return response;
}

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_UNARY_H_
