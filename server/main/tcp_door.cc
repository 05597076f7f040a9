#include "server/main/tcp_door.h"

#include <grpcpp/security/server_credentials.h>

#include "absl/strings/str_cat.h"
#include "base/os/tcp_socket.h"
#include "base/status/status_macros.h"
#include "server/main/config.h"

namespace berth {
namespace {

absl::Status CheckDoor(const TcpConfig& config) {
  const bool any_file =
      !config.tls_ca.empty() || !config.tls_cert.empty() || !config.tls_key.empty();
  const bool all_files =
      !config.tls_ca.empty() && !config.tls_cert.empty() && !config.tls_key.empty();
  if (config.plaintext.empty() && all_files) {
    return absl::UnimplementedError(
        "grpc.tcp_address with TLS: this program is linked with gRPC's library without TLS; serve "
        "a "
        "loopback address by grpc.tcp_plaintext behind a program that checks certificates");
  }
  if (config.plaintext.empty()) {
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
  if (loopback) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("grpc.tcp_address \"", config.address,
                   "\" is no loopback address, and is not served without TLS"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TcpCredentials(const TcpConfig& config) {
  if (config.address.empty()) return std::shared_ptr<grpc::ServerCredentials>();
  BERTH_RETURN_IF_ERROR(CheckDoor(config));
  return grpc::InsecureServerCredentials();
}

}  // namespace berth
