#include "server/main/api_server.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>

#include <chrono>
#include <utility>

#include "base/status/status_macros.h"
#include "server/api/containers_service.h"
#include "server/api/content_service.h"
#include "server/api/diff_service.h"
#include "server/api/events_service.h"
#include "server/api/images_service.h"
#include "server/api/leases_service.h"
#include "server/api/namespaces_service.h"
#include "server/api/snapshots_service.h"
#include "server/api/tasks_service.h"
#include "server/api/version_service.h"
#include "server/main/plugin_list.h"
#include "server/main/version.h"

namespace berth {
namespace {

// Calls that are open when the daemon stops (Wait, Subscribe) get this long to end by themselves.
constexpr std::chrono::milliseconds kShutdownGrace(200);
constexpr int kMaxMetadataBytes = 64 << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(Inputs inputs) {
  std::unique_ptr<ApiServer> server(new ApiServer());
  server->AddServices(inputs);
  BERTH_RETURN_IF_ERROR(server->Build(inputs.config.grpc));
  server->health_->SetStatus(HealthService::Response::SERVING);
  return server;
}

ApiServer::~ApiServer() { Stop(); }

void ApiServer::Add(const char* plugin, std::unique_ptr<grpc::Service> service) {
  plugins_.push_back(plugin);
  services_.push_back(std::move(service));
}

void ApiServer::AddServices(Inputs& inputs) {
  Storage& storage = inputs.storage;
  Executor& executor = inputs.executor;
  EventSink& events = inputs.exchange;
  Add("containers", std::make_unique<ContainersService>(storage.containers(), events, executor));
  Add("content", std::make_unique<ContentService>(storage.content(), executor));
  Add("diff", std::make_unique<DiffService>(storage.content(), inputs.worker, executor));
  Add("events", std::make_unique<EventsService>(inputs.exchange));
  Add("images",
      std::make_unique<ImagesService>(storage.images(), events, storage.collector(), executor));
  Add("leases", std::make_unique<LeasesService>(storage.leases(), storage.collector(), executor));
  Add("namespaces", std::make_unique<NamespacesService>(storage.namespaces(), events, executor));
  Add("snapshots", std::make_unique<SnapshotsService>(storage.snapshots(), events, executor));
  Add("tasks", std::make_unique<TasksService>(inputs.tasks));
  Add("version", std::make_unique<VersionService>(kBerthVersion, ""));

  auto health = std::make_unique<HealthService>(std::vector<std::string>());
  health_ = health.get();
  Add("healthcheck", std::move(health));

  // Last, because it lists the others.
  PluginFacts facts;
  facts.root = inputs.config.root;
  facts.snapshotters = storage.snapshotter_plugins();
  facts.services = plugins_;
  facts.services.push_back("introspection");
  Add("introspection", std::make_unique<IntrospectionService>(
                           ListPlugins(facts), std::move(inputs.identity), executor));
}

absl::Status ApiServer::Build(const GrpcConfig& config) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(config.max_receive_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(config.max_send_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // Local clients may ping as often as they like; Go's do, and would be cut off.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::InternalError("gRPC refused to start a server");
  return absl::OkStatus();
}

void ApiServer::AddConnection(UniqueFd socket) {
  grpc::AddInsecureChannelFromFd(server_.get(), socket.Release());
}

void ApiServer::Stop() {
  if (server_ == nullptr) return;
  health_->SetStatus(HealthService::Response::NOT_SERVING);
  health_->Close();
  server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  server_.reset();
}

}  // namespace berth
