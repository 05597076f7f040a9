// Who may come in by TCP: the rules of the configuration's tcp_ keys, as gRPC credentials.
//
// Invariant: there are credentials only for a loopback address and where the configuration asks for
// it by name. TLS is refused: the gRPC library that this program links has none. Thread-safe
// function; what it makes is shared with gRPC.
#ifndef BERTH_SERVER_MAIN_TCP_DOOR_H_
#define BERTH_SERVER_MAIN_TCP_DOOR_H_

#include <memory>

#include "absl/status/statusor.h"

namespace grpc {
class ServerCredentials;
}  // namespace grpc

namespace berth {

struct TcpConfig;

// Null when no address is configured. Errors: FAILED_PRECONDITION where the configuration would let
// in whoever can reach the port; UNIMPLEMENTED for TLS.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TcpCredentials(const TcpConfig& config);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_TCP_DOOR_H_
