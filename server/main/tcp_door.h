// Who may come in by TCP: the rules of the configuration's tcp_ keys.
//
// Invariant: without TLS only a loopback address is served, and only where the configuration asks
// for it by name; TLS asks clients for certificates, always. Thread-safe function.
#ifndef BERTH_SERVER_MAIN_TCP_DOOR_H_
#define BERTH_SERVER_MAIN_TCP_DOOR_H_

#include "absl/status/statusor.h"

namespace berth {

struct TcpConfig;

enum class TcpDoor {
  kNone,       // no address is configured
  kPlaintext,  // gRPC serves the connections
  kMutualTls,  // the worker's TLS door does
};

// Errors: FAILED_PRECONDITION where the configuration would let in whoever can reach the port.
absl::StatusOr<TcpDoor> ChooseTcpDoor(const TcpConfig& config);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_TCP_DOOR_H_
