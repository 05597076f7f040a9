#include "server/main/task_engine.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/main/program_path.h"

namespace berth {
namespace {

constexpr const char* kMapLabels[] = {"containerd.io/snapshot/uidmapping",
                                      "containerd.io/snapshot/gidmapping"};
constexpr char kDefaultSearchPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string SearchPath() {
  const char* path = ::getenv("PATH");
  return path == nullptr || *path == '\0' ? kDefaultSearchPath : path;
}

bool IsDebugging(const Config& config) {
  return config.debug.level == "debug" || config.debug.level == "trace";
}

// The record of a container; in a user namespace its labels have the maps of ids that its snapshot
// is for.
absl::StatusOr<metadata::ContainerStore::Container> FindWithMaps(
    metadata::ContainerStore& containers, metadata::SnapshotStore& snapshots, const std::string& ns,
    const std::string& id) {
  BERTH_ASSIGN_OR_RETURN(metadata::ContainerStore::Container container,
                         containers.Get({.ns = ns}, id));
  // Most have no maps, and are not to wait for one more record.
  if (!absl::StrContains(container.spec().value(), "uidMappings")) return container;
  for (const char* const label : kMapLabels) container.mutable_labels()->erase(label);
  const auto snapshot =
      snapshots.Stat({.ns = ns}, container.snapshotter(), container.snapshot_key());
  if (!snapshot.ok()) return container;  // a root of the client's own
  for (const char* const label : kMapLabels) {
    const auto map = snapshot->labels().find(label);
    if (map != snapshot->labels().end()) (*container.mutable_labels())[label] = map->second;
  }
  return container;
}

}  // namespace

TaskEngine::LoadingShim TaskEngine::LoadShim(const Config& config) {
  return std::async(
      std::launch::async, [configured = config.runtime.shim]() -> absl::StatusOr<ShimBinary> {
        BERTH_ASSIGN_OR_RETURN(const std::string path, ProgramPath(configured, "berth-shim"));
        BERTH_ASSIGN_OR_RETURN(ShimBinary shim, ShimBinary::Load(path),
                               _ << "runtime.shim names the program that runs containers");
        return shim;
      });
}

absl::StatusOr<std::unique_ptr<TaskEngine>> TaskEngine::Start(Inputs inputs) {
  const Config& config = inputs.config;
  BERTH_ASSIGN_OR_RETURN(ShimBinary shim, inputs.shim.get());
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<LoopThread> loop, LoopThread::Create());
  std::unique_ptr<TaskEngine> engine(
      new TaskEngine(std::move(shim), std::move(loop), static_cast<size_t>(config.executor.threads),
                     static_cast<size_t>(config.executor.queue_limit)));

  ShimLauncher::Options launcher;
  launcher.state = config.state;
  launcher.address = GrpcAddress(config);
  launcher.ttrpc_address = TtrpcAddress(config);
  launcher.nofile = inputs.nofile;
  launcher.verbosity = IsDebugging(config) ? ShimLauncher::Options::Verbosity::kDebug
                                           : ShimLauncher::Options::Verbosity::kNormal;
  launcher.search_path = SearchPath();
  engine->launcher_ = std::make_unique<ShimLauncher>(std::move(launcher), engine->shim_);

  engine->events_ = std::make_unique<EventsTtrpc>(engine->loop_->loop(), inputs.exchange);
  BERTH_RETURN_IF_ERROR(engine->events_->Serve(std::move(inputs.ttrpc_listener)))
      << "serve the shims' events";

  TaskManager::Options options;
  options.state = config.state;
  options.root = config.root;
  options.creator.aliases = config.runtime_aliases;
  options.creator.search_path = SearchPath();
  options.state_timeout = config.timeouts.task_state;
  options.supervisor.connect_timeout = config.timeouts.shim_load;
  options.supervisor.shutdown_timeout = config.timeouts.shim_shutdown;
  options.supervisor.reconciler.delete_timeout = config.timeouts.shim_cleanup;
  metadata::ContainerStore& containers = inputs.containers;
  metadata::SnapshotStore& snapshots = inputs.snapshots;
  engine->tasks_ = std::make_unique<TaskManager>(
      engine->loop_->loop(), engine->executor_,
      [&containers, &snapshots](const std::string& ns, const std::string& id) {
        return FindWithMaps(containers, snapshots, ns, id);
      },
      *engine->launcher_, inputs.exchange, inputs.log, std::move(options));
  BERTH_RETURN_IF_ERROR(engine->tasks_->Adopt()) << "take over running containers";
  engine->loop_->Start();
  engine->stopped_ = false;
  return engine;
}

TaskEngine::~TaskEngine() { Stop(); }

void TaskEngine::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (tasks_ != nullptr) tasks_->Stop();
  executor_.Stop();
  loop_->Stop();
}

}  // namespace berth
