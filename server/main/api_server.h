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
#include "base/grpc/page_stream.h"
#include "base/os/unique_fd.h"
#include "server/main/services.h"

namespace grpc {
class Server;
}  // namespace grpc

namespace berth {

class CallMetrics;
struct GrpcConfig;

class ApiServer {
 public:
  // `metrics` outlives it; null: calls are not measured.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(ServiceParts parts, CallMetrics* metrics);
  ~ApiServer();

  // Serves one client, who may use the API: that was checked before. Thread-safe.
  void AddConnection(UniqueFd socket);
  // Calls that are open get `grace` to end by themselves. Idempotent. Blocks.
  void Stop(absl::Duration grace);

 private:
  ApiServer();
  absl::Status Build(const GrpcConfig& config, Executor& executor, CallMetrics* metrics);

  NamedServices services_;
  HealthService* health_ = nullptr;  // one of services_
  std::unique_ptr<PageStreams> page_streams_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_API_SERVER_H_
