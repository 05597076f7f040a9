#include "server/main/api_server.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>

#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "server/api/health_service.h"
#include "server/api/operations.h"
#include "server/main/call_metrics.h"
#include "server/main/config.h"

namespace berth {
namespace {

constexpr int kMaxMetadataBytes = 64 << 10;

}  // namespace

ApiServer::ApiServer() = default;

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(ServiceParts parts,
                                                            CallMetrics* metrics) {
  std::unique_ptr<ApiServer> server(new ApiServer());
  parts.operations = std::make_shared<Operations>();
  AddRecordServices(parts, server->services_);
  AddStoreServices(parts, server->services_);
  AddTaskServices(parts, server->services_);
  AddEngineServices(parts, server->services_);
  AddImageServices(parts, server->services_);
  server->health_ = AddFactServices(parts, server->services_);
  BERTH_RETURN_IF_ERROR(server->Build(parts.config.grpc, parts.executor, metrics));
  server->health_->SetStatus(HealthService::Response::SERVING);
  return server;
}

ApiServer::~ApiServer() { Stop(absl::ZeroDuration()); }

absl::Status ApiServer::Build(const GrpcConfig& config, Executor& executor, CallMetrics* metrics) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(config.max_receive_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(config.max_send_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // Local clients may ping as often as they like; Go's do, and would be cut off.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  std::vector<PageStreams::Method> page_streams;
  for (const NamedService& named : services_) {
    builder.RegisterService(named.service.get());
    page_streams.insert(page_streams.end(), named.page_streams.begin(), named.page_streams.end());
  }
  page_streams_ = std::make_unique<PageStreams>(builder, executor);
  if (metrics != nullptr) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(metrics->MakeInterceptors());
    builder.experimental().SetInterceptorCreators(std::move(creators));
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::InternalError("gRPC refused to start a server");
  page_streams_->Start(std::move(page_streams));
  return absl::OkStatus();
}

void ApiServer::AddConnection(UniqueFd socket) {
  grpc::AddInsecureChannelFromFd(server_.get(), socket.Release());
}

void ApiServer::Stop(absl::Duration grace) {
  if (server_ == nullptr) return;
  health_->SetStatus(HealthService::Response::NOT_SERVING);
  health_->Close();
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  page_streams_->Stop();
  server_.reset();
}

}  // namespace berth
