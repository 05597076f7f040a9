// The gRPC server: its settings, its services, its connections.
//
// Invariant: after Stop no call is open. Thread-compatible but for AddConnection; owned by Daemon,
// stopped first.
#ifndef BERTH_SERVER_MAIN_API_SERVER_H_
#define BERTH_SERVER_MAIN_API_SERVER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "server/main/services.h"

namespace grpc {
class Server;
}  // namespace grpc

namespace berth {

struct GrpcConfig;

class ApiServer {
 public:
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(ServiceParts parts);
  ~ApiServer();

  // Serves one client. Thread-safe.
  void AddConnection(UniqueFd socket);
  // Ends what is open. Idempotent. Blocks.
  void Stop();

 private:
  ApiServer();
  absl::Status Build(const GrpcConfig& config);

  NamedServices services_;
  HealthService* health_ = nullptr;  // one of services_
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_API_SERVER_H_
