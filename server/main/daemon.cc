#include "server/main/daemon.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>

#include <chrono>
#include <optional>
#include <utility>

#include "base/grpc/executor.h"
#include "base/status/status_macros.h"
#include "server/api/health_service.h"
#include "server/api/introspection_service.h"
#include "server/api/version_service.h"
#include "server/main/api_socket.h"
#include "server/main/plugin_list.h"
#include "server/main/server_identity.h"
#include "server/main/state_lock.h"
#include "server/main/version.h"

namespace berth {
namespace {

// Calls that are open when the daemon stops (Wait, Subscribe) get this long to end by themselves.
constexpr std::chrono::milliseconds kShutdownGrace(500);
constexpr int kMaxMetadataBytes = 64 << 10;

struct ApiListener {
  std::vector<UniqueFd> sockets;
  SocketOwner owner;
};

absl::StatusOr<SocketOwner> OwnerOf(const SocketConfig& socket) {
  SocketOwner owner{static_cast<uid_t>(socket.uid), static_cast<gid_t>(socket.gid)};
  if (!socket.group.empty()) {
    BERTH_ASSIGN_OR_RETURN(owner.gid, FindGroup(socket.group));
  }
  return owner;
}

// Takes what the service manager bound at `address`, or binds it.
absl::StatusOr<UniqueFd> Listen(const std::string& address, SocketOwner owner,
                                std::vector<InheritedSocket>& inherited) {
  for (InheritedSocket& socket : inherited) {
    if (socket.path == address) return std::move(socket.fd);
  }
  return BindSocket(address, owner);
}

}  // namespace

class Daemon::Parts {
 public:
  Parts(const Config& config, const Logger& log)
      : config_(config),
        log_(log),
        executor_(static_cast<size_t>(config.executor.threads),
                  static_cast<size_t>(config.executor.queue_limit)) {}

  absl::Status Build(DaemonInheritance inheritance);
  void Stop();

 private:
  absl::Status LockDirectories();
  absl::Status MakeServices();
  absl::Status Serve(std::vector<InheritedSocket> inherited);

  const Config config_;
  const Logger& log_;
  std::optional<DirectoryLock> root_lock_;
  std::optional<DirectoryLock> state_lock_;
  Executor executor_;

  std::unique_ptr<VersionService> version_service_;
  std::unique_ptr<HealthService> health_service_;
  std::unique_ptr<IntrospectionService> introspection_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Acceptor> acceptor_;
};

absl::Status Daemon::Parts::Build(DaemonInheritance inheritance) {
  BERTH_RETURN_IF_ERROR(LockDirectories());
  BERTH_RETURN_IF_ERROR(MakeServices());
  return Serve(std::move(inheritance.sockets));
}

absl::Status Daemon::Parts::LockDirectories() {
  if (config_.root == config_.state) {
    return absl::InvalidArgumentError("root and state must be two directories");
  }
  BERTH_ASSIGN_OR_RETURN(root_lock_, DirectoryLock::Acquire(config_.root));
  BERTH_ASSIGN_OR_RETURN(state_lock_, DirectoryLock::Acquire(config_.state));
  return absl::OkStatus();
}

absl::Status Daemon::Parts::MakeServices() {
  BERTH_ASSIGN_OR_RETURN(IntrospectionService::Identity identity, LoadServerIdentity(config_.root));
  PluginFacts facts;
  facts.root = config_.root;
  facts.services = {"healthcheck", "introspection", "version"};
  version_service_ = std::make_unique<VersionService>(kBerthVersion, "");
  health_service_ = std::make_unique<HealthService>(std::vector<std::string>());
  introspection_service_ =
      std::make_unique<IntrospectionService>(ListPlugins(facts), std::move(identity), executor_);
  return absl::OkStatus();
}

absl::Status Daemon::Parts::Serve(std::vector<InheritedSocket> inherited) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(config_.grpc.max_receive_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(config_.grpc.max_send_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // Local clients may ping as often as they like; Go's do, and would be cut off.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.RegisterService(version_service_.get());
  builder.RegisterService(health_service_.get());
  builder.RegisterService(introspection_service_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::InternalError("gRPC refused to start a server");
  health_service_->SetStatus(HealthService::Response::SERVING);

  BERTH_ASSIGN_OR_RETURN(const SocketOwner owner, OwnerOf(config_.grpc.socket));
  std::vector<UniqueFd> listeners;
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, Listen(GrpcAddress(config_), owner, inherited));
  listeners.push_back(std::move(listener));
  acceptor_ = std::make_unique<Acceptor>(
      std::move(listeners), owner, log_, [this](UniqueFd socket, Acceptor::Peer) {
        grpc::AddInsecureChannelFromFd(server_.get(), socket.Release());
      });
  return acceptor_->Start();
}

void Daemon::Parts::Stop() {
  if (acceptor_ != nullptr) acceptor_->Stop();
  if (health_service_ != nullptr) {
    health_service_->SetStatus(HealthService::Response::NOT_SERVING);
    health_service_->Close();
  }
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  executor_.Stop();
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Daemon::~Daemon() { Stop(); }
void Daemon::Stop() { parts_->Stop(); }

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Config& config,
                                                      DaemonInheritance inheritance,
                                                      const Logger& log) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::make_unique<Parts>(config, log)));
  BERTH_RETURN_IF_ERROR(daemon->parts_->Build(std::move(inheritance)));
  return daemon;
}

}  // namespace berth
