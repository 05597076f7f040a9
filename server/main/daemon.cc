#include "server/main/daemon.h"

#include <poll.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/grpc/executor.h"
#include "base/os/process_identity.h"
#include "base/os/tcp_socket.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/events/event_log.h"
#include "server/events/exchange.h"
#include "server/main/api_server.h"
#include "server/main/api_socket.h"
#include "server/main/call_metrics.h"
#include "server/main/docker_engine.h"
#include "server/main/image_engine.h"
#include "server/main/metrics_page.h"
#include "server/main/metrics_server.h"
#include "server/main/program_path.h"
#include "server/main/server_identity.h"
#include "server/main/state_lock.h"
#include "server/main/storage.h"
#include "server/main/task_engine.h"
#include "server/main/tcp_door.h"
#include "server/task/restart_monitor.h"
#include "server/worker/client/door_client.h"
#include "server/worker/client/worker_client.h"

namespace berth {
namespace {

// Calls that are open when the daemon stops (Wait, Subscribe) get this long to end by themselves.
constexpr absl::Duration kStopGrace = absl::Milliseconds(200);
// And when a successor is to serve the next ones, which wait meanwhile.
constexpr absl::Duration kRetireGrace = absl::Seconds(2);
constexpr int kTcpBacklog = 1024;
constexpr absl::Duration kPortPatience = absl::Seconds(2);
constexpr int kPortRetryMs = 20;

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

absl::StatusOr<UniqueFd> ListenOnTcp(const std::string& address,
                                     std::vector<InheritedSocket>& inherited) {
  for (InheritedSocket& socket : inherited) {
    if (socket.path == address) return std::move(socket.fd);
  }
  const absl::Time deadline = absl::Now() + kPortPatience;
  while (true) {
    absl::StatusOr<UniqueFd> listener = ListenTcp(address, kTcpBacklog);
    if (ErrnoOf(listener.status()) != EADDRINUSE || absl::Now() > deadline) return listener;
    // The TLS door of a daemon that was killed lets go of the port when it hears of it.
    (void)::poll(nullptr, 0, kPortRetryMs);
  }
}

}  // namespace

class Daemon::Parts {
 public:
  Parts(const Config& config, const Logger& log)
      : config_(config),
        log_(log),
        executor_(static_cast<size_t>(config.executor.threads),
                  static_cast<size_t>(config.executor.queue_limit), "api") {}

  absl::Status Build(DaemonInheritance inheritance);
  void Stop(absl::Duration grace);
  std::vector<UniqueFd> TakeListeners();  // stopped

 private:
  absl::Status LockDirectories();
  absl::Status OpenEvents();
  absl::Status StartTasks(DaemonInheritance& inheritance);
  absl::Status MakeWorker();
  absl::Status BeginEngine();
  absl::Status StartServing(std::vector<InheritedSocket>& inherited);
  absl::Status OpenTcpDoor(std::vector<InheritedSocket>& inherited,
                           std::vector<Acceptor::Listener>& accepted_here);
  void CleanUpBehind();

  const Config config_;
  const Logger& log_;
  bool stopped_ = false;
  std::optional<DirectoryLock> root_lock_;
  std::optional<DirectoryLock> state_lock_;
  Executor executor_;
  std::unique_ptr<EventLog> event_log_;
  std::optional<Exchange> exchange_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<DockerEngine> engine_;
  TaskEngine::LoadingShim shim_;
  std::unique_ptr<TaskEngine> tasks_;
  std::unique_ptr<worker::WorkerClient> worker_;
  std::unique_ptr<ImageEngine> images_;
  std::shared_ptr<RestartMonitor> monitor_;
  CallMetrics call_metrics_;
  std::unique_ptr<ApiServer> server_;
  std::unique_ptr<Acceptor> acceptor_;
  UniqueFd tls_listener_;  // the door's process accepts on it; invalid: no such door
  std::unique_ptr<worker::DoorClient> tls_door_;
  std::unique_ptr<MetricsServer> metrics_server_;
};

absl::Status Daemon::Parts::Build(DaemonInheritance inheritance) {
  BERTH_RETURN_IF_ERROR(LockDirectories());
  shim_ = TaskEngine::LoadShim(config_);
  BERTH_RETURN_IF_ERROR(OpenEvents());
  BERTH_ASSIGN_OR_RETURN(storage_, Storage::Open(config_, *exchange_, *event_log_, log_));
  event_log_->SetDirtyCallback([this] { storage_->database().RequestSync(); });
  BERTH_ASSIGN_OR_RETURN(engine_, DockerEngine::Create(*exchange_));
  BERTH_RETURN_IF_ERROR(StartTasks(inheritance));
  BERTH_RETURN_IF_ERROR(MakeWorker());
  BERTH_RETURN_IF_ERROR(BeginEngine());
  BERTH_RETURN_IF_ERROR(StartServing(inheritance.sockets));
  CleanUpBehind();
  return absl::OkStatus();
}

absl::Status Daemon::Parts::LockDirectories() {
  if (config_.root == config_.state) {
    return absl::InvalidArgumentError("root and state must be two directories");
  }
  BERTH_ASSIGN_OR_RETURN(root_lock_, DirectoryLock::Acquire(config_.root));
  BERTH_ASSIGN_OR_RETURN(state_lock_, DirectoryLock::Acquire(config_.state));
  return absl::OkStatus();
}

absl::Status Daemon::Parts::OpenEvents() {
  EventLog::Options options;
  options.directory = config_.root + "/events";
  options.retained_events = static_cast<uint64_t>(config_.events.retained_events);
  options.retained_bytes = static_cast<uint64_t>(config_.events.retained_bytes);
  BERTH_ASSIGN_OR_RETURN(options.boot_id, ReadBootId());
  BERTH_ASSIGN_OR_RETURN(event_log_, EventLog::Open(std::move(options), log_));
  exchange_.emplace(Exchange::Options(), event_log_.get());
  return absl::OkStatus();
}

absl::Status Daemon::Parts::StartTasks(DaemonInheritance& inheritance) {
  BERTH_ASSIGN_OR_RETURN(const SocketOwner owner, OwnerOf(config_.ttrpc));
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener,
                         Listen(TtrpcAddress(config_), owner, inheritance.sockets));
  BERTH_ASSIGN_OR_RETURN(tasks_, TaskEngine::Start({.config = config_,
                                                    .shim = std::move(shim_),
                                                    .nofile = inheritance.nofile,
                                                    .ttrpc_listener = std::move(listener),
                                                    .containers = storage_->containers(),
                                                    .snapshots = storage_->snapshots(),
                                                    .exchange = *exchange_,
                                                    .log = log_}));
  return absl::OkStatus();
}

absl::Status Daemon::Parts::MakeWorker() {
  BERTH_ASSIGN_OR_RETURN(std::string program, ProgramPath(config_.runtime.worker, "berth-worker"),
                         _ << "runtime.worker names the program that unpacks layers");
  worker_ = std::make_unique<worker::WorkerClient>(
      tasks_->loop(), executor_,
      worker::WorkerClient::Options{std::move(program), config_.root + "/content"});
  images_ = std::make_unique<ImageEngine>(ImageEngine::Inputs{.config = config_,
                                                              .storage = *storage_,
                                                              .exchange = *exchange_,
                                                              .worker = *worker_,
                                                              .executor = executor_,
                                                              .loop = tasks_->loop()});
  return absl::OkStatus();
}

absl::Status Daemon::Parts::BeginEngine() {
  return engine_->Begin({.config = config_,
                         .storage = *storage_,
                         .exchange = *exchange_,
                         .catalog = images_->catalog(),
                         .unpacker = images_->unpacker(),
                         .tasks = tasks_->tasks(),
                         .executor = executor_,
                         .loop = tasks_->loop(),
                         .log = log_});
}

absl::Status Daemon::Parts::StartServing(std::vector<InheritedSocket>& inherited) {
  BERTH_ASSIGN_OR_RETURN(const ServerIdentity identity, LoadServerIdentity(config_.root));
  const bool measured = !config_.metrics.address.empty();
  BERTH_ASSIGN_OR_RETURN(server_, ApiServer::Start({.config = config_,
                                                    .identity = identity,
                                                    .executor = executor_,
                                                    .exchange = *exchange_,
                                                    .storage = *storage_,
                                                    .tasks = tasks_->tasks(),
                                                    .worker = *worker_,
                                                    .engine = engine_->engine(),
                                                    .images = *images_},
                                                   measured ? &call_metrics_ : nullptr));
  BERTH_ASSIGN_OR_RETURN(const SocketOwner owner, OwnerOf(config_.grpc.socket));
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, Listen(GrpcAddress(config_), owner, inherited));
  std::vector<Acceptor::Listener> listeners;
  listeners.push_back({std::move(listener), Acceptor::Transport::kUnix});
  BERTH_RETURN_IF_ERROR(OpenTcpDoor(inherited, listeners)) << "grpc.tcp_address";
  acceptor_ = std::make_unique<Acceptor>(
      std::move(listeners), owner, log_,
      [this](UniqueFd socket) { server_->AddConnection(std::move(socket)); });
  BERTH_RETURN_IF_ERROR(acceptor_->Start());
  if (!measured) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(metrics_server_, MetricsServer::Start(config_.metrics.address, [this] {
                           return ObjectMetrics(*storage_, tasks_->tasks(), *exchange_) +
                                  call_metrics_.Text();
                         }));
  log_.Info("serving metrics", {{"address", metrics_server_->address()}});
  return absl::OkStatus();
}

absl::Status Daemon::Parts::OpenTcpDoor(std::vector<InheritedSocket>& inherited,
                                        std::vector<Acceptor::Listener>& accepted_here) {
  const TcpConfig& tcp = config_.grpc.tcp;
  BERTH_ASSIGN_OR_RETURN(const TcpDoor door, ChooseTcpDoor(tcp));
  if (door == TcpDoor::kNone) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, ListenOnTcp(tcp.address, inherited));
  if (door == TcpDoor::kPlaintext) {
    accepted_here.push_back({std::move(listener), Acceptor::Transport::kTcp});
    return absl::OkStatus();
  }
  tls_listener_ = std::move(listener);
  BERTH_ASSIGN_OR_RETURN(std::string program, ProgramPath(config_.runtime.worker, "berth-worker"),
                         _ << "runtime.worker names the program that serves TLS");
  BERTH_ASSIGN_OR_RETURN(tls_door_,
                         worker::DoorClient::Start({.executable = std::move(program),
                                                    .ca = tcp.tls_ca,
                                                    .certificate = tcp.tls_cert,
                                                    .key = tcp.tls_key,
                                                    .client_name = tcp.tls_common_name},
                                                   tls_listener_, log_, [this](UniqueFd socket) {
                                                     server_->AddConnection(std::move(socket));
                                                   }));
  return absl::OkStatus();
}

// What the last daemon left goes while clients are served already.
void Daemon::Parts::CleanUpBehind() {
  storage_->StartCollecting();
  monitor_ =
      std::make_shared<RestartMonitor>(RestartMonitor::Parts{.database = storage_->database(),
                                                             .containers = storage_->containers(),
                                                             .snapshots = storage_->snapshots(),
                                                             .tasks = tasks_->tasks(),
                                                             .executor = executor_,
                                                             .loop = tasks_->loop(),
                                                             .log = log_},
                                       RestartMonitor::Options());
  monitor_->Start();
  executor_.PostContinuation([this] {
    const absl::Status status = storage_->RemoveLeftovers();
    if (!status.ok()) {
      log_.Warning("ignoring that something is left of what was removed", {{"error", status}});
    }
  });
}

std::vector<UniqueFd> Daemon::Parts::TakeListeners() {
  std::vector<UniqueFd> result;
  for (Acceptor::Listener& listener : acceptor_->TakeListeners()) {
    result.push_back(std::move(listener.fd));
  }
  if (tls_listener_.valid()) result.push_back(std::move(tls_listener_));
  return result;
}

void Daemon::Parts::Stop(absl::Duration grace) {
  // Called by main and again by the destructor; a worker asked on a loop that has ended would
  // never answer.
  if (std::exchange(stopped_, true)) return;
  if (metrics_server_ != nullptr) metrics_server_->Stop();
  if (acceptor_ != nullptr) acceptor_->Stop();
  if (tls_door_ != nullptr) tls_door_->StopAccepting();
  if (monitor_ != nullptr) monitor_->Stop();
  if (exchange_.has_value()) exchange_->Close();
  if (engine_ != nullptr) engine_->Leave();
  if (server_ != nullptr) server_->Stop(grace);
  if (tls_door_ != nullptr) tls_door_->Stop();  // what calls answered at last went through it
  if (worker_ != nullptr) worker_->Stop();
  executor_.Stop();
  if (tasks_ != nullptr) tasks_->Stop();
  if (engine_ != nullptr) engine_->LoopEnded();
  if (storage_ != nullptr) storage_->Close();
  if (event_log_ != nullptr) {
    event_log_->SetDirtyCallback(nullptr);
    event_log_->Close();
  }
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Daemon::~Daemon() { Stop(); }
void Daemon::Stop() {
  if (parts_ != nullptr) parts_->Stop(kStopGrace);
}
std::vector<UniqueFd> Daemon::Retire() {
  parts_->Stop(kRetireGrace);
  std::vector<UniqueFd> listeners = parts_->TakeListeners();
  parts_.reset();  // and with it the locks
  return listeners;
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Config& config,
                                                      DaemonInheritance inheritance,
                                                      const Logger& log) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::make_unique<Parts>(config, log)));
  BERTH_RETURN_IF_ERROR(daemon->parts_->Build(std::move(inheritance)));
  return daemon;
}

}  // namespace berth
