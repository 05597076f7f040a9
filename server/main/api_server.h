// The gRPC server and its services: who answers what.
//
// Invariant: after Stop no call is open. Thread-compatible but for AddConnection; owned by Daemon,
// stopped first.
#ifndef BERTH_SERVER_MAIN_API_SERVER_H_
#define BERTH_SERVER_MAIN_API_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "base/os/unique_fd.h"
#include "server/api/health_service.h"
#include "server/api/introspection_service.h"
#include "server/events/exchange.h"
#include "server/main/config.h"
#include "server/main/storage.h"
#include "server/task/task_manager.h"
#include "server/worker/client/worker_client.h"

namespace berth {

class ApiServer {
 public:
  struct Inputs {
    const Config& config;
    IntrospectionService::Identity identity;
    Executor& executor;  // for what may wait for a disk
    Exchange& exchange;
    Storage& storage;
    TaskManager& tasks;
    worker::WorkerClient& worker;
  };
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(Inputs inputs);
  ~ApiServer();

  // Serves one client. Thread-safe.
  void AddConnection(UniqueFd socket);
  // Ends what is open. Idempotent. Blocks.
  void Stop();

 private:
  ApiServer() = default;
  // `plugin` is the id under which clients find the service in the list of plugins.
  void Add(const char* plugin, std::unique_ptr<grpc::Service> service);
  void AddServices(Inputs& inputs);
  absl::Status Build(const GrpcConfig& config);

  std::vector<std::string> plugins_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  HealthService* health_ = nullptr;  // one of services_
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_API_SERVER_H_
