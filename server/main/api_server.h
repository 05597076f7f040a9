// The gRPC server: its settings, its services, its connections.
//
// Invariant: after Stop no call is open. Thread-compatible but for AddConnection; owned by Daemon,
// stopped first.
#ifndef BERTH_SERVER_MAIN_API_SERVER_H_
#define BERTH_SERVER_MAIN_API_SERVER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "server/main/services.h"

namespace grpc {
class Server;
namespace experimental {
class ExternalConnectionAcceptor;
}  // namespace experimental
}  // namespace grpc

namespace berth {

class CallMetrics;
struct GrpcConfig;

class ApiServer {
 public:
  // `metrics` outlives it; null: calls are not measured.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(ServiceParts parts, CallMetrics* metrics);
  ~ApiServer();

  // Serves one client: one that this process knows by its unix socket, or one that has to show
  // what the configuration's tcp_ keys ask for. Thread-safe.
  void AddConnection(UniqueFd socket);
  void AddTcpConnection(UniqueFd socket);
  // Calls that are open get `grace` to end by themselves. Idempotent. Blocks.
  void Stop(absl::Duration grace);

 private:
  ApiServer();
  absl::Status Build(const GrpcConfig& config, CallMetrics* metrics);

  NamedServices services_;
  HealthService* health_ = nullptr;                                      // one of services_
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> tcp_;  // null: no TCP
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_API_SERVER_H_
