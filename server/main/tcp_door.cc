#include "server/main/tcp_door.h"

#include "absl/strings/str_cat.h"
#include "base/os/tcp_socket.h"
#include "base/status/status_macros.h"
#include "server/main/config.h"

namespace berth {

absl::StatusOr<TcpDoor> ChooseTcpDoor(const TcpConfig& config) {
  if (config.address.empty()) return TcpDoor::kNone;
  const bool any_file =
      !config.tls_ca.empty() || !config.tls_cert.empty() || !config.tls_key.empty();
  const bool all_files =
      !config.tls_ca.empty() && !config.tls_cert.empty() && !config.tls_key.empty();
  if (config.plaintext.empty()) {
    if (all_files) return TcpDoor::kMutualTls;
    return absl::FailedPreconditionError(absl::StrCat(
        "grpc.tcp_address \"", config.address,
        "\" is not served without mutual TLS, because whoever reaches it would be root: set "
        "grpc.tcp_tls_ca, grpc.tcp_tls_cert and grpc.tcp_tls_key"));
  }
  if (any_file) {
    return absl::FailedPreconditionError(
        "grpc.tcp_plaintext and grpc.tcp_tls_ files exclude each other: remove one of them");
  }
  BERTH_ASSIGN_OR_RETURN(const bool loopback, IsLoopback(config.address), _ << "grpc.tcp_address");
  if (loopback) return TcpDoor::kPlaintext;
  return absl::FailedPreconditionError(
      absl::StrCat("grpc.tcp_address \"", config.address,
                   "\" is no loopback address, and is not served without TLS"));
}

}  // namespace berth
