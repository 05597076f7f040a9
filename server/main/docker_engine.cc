#include "server/main/docker_engine.h"

#include <string>
#include <utility>

#include "base/status/status_macros.h"
#include "server/engine/engine.h"
#include "server/events/exchange.h"
#include "server/main/config.h"
#include "server/main/program_path.h"
#include "server/main/storage.h"
#include "server/main/version.h"

namespace berth {

DockerEngine::DockerEngine() : ear_(std::make_shared<Ear>()) {}

absl::StatusOr<std::unique_ptr<DockerEngine>> DockerEngine::Create(Exchange& exchange) {
  std::unique_ptr<DockerEngine> result(new DockerEngine());
  const auto ear = result->ear_;
  BERTH_ASSIGN_OR_RETURN(result->subscription_, exchange.Subscribe({"topic~=^/tasks/"}, [ear] {
    MutexLock lock(&ear->mutex);
    if (ear->engine != nullptr) ear->engine->OnEventsReady();
  }));
  return result;
}

DockerEngine::~DockerEngine() {
  MutexLock lock(&ear_->mutex);
  ear_->engine = nullptr;
}

void DockerEngine::Leave() {
  if (engine_ != nullptr) engine_->Leave();
}

absl::Status DockerEngine::Begin(const Inputs& inputs) {
  Storage& storage = inputs.storage;
  BERTH_ASSIGN_OR_RETURN(std::string shim_program,
                         ProgramPath(inputs.config.runtime.shim, "berth-shim"));
  engine_ = std::make_unique<engine::Engine>(
      engine::EngineParts{.database = storage.database(),
                          .containers = storage.containers(),
                          .snapshots = storage.snapshots(),
                          .leases = storage.leases(),
                          .namespaces = storage.namespaces(),
                          .images = inputs.catalog,
                          .unpacker = inputs.unpacker,
                          .tasks = inputs.tasks,
                          .exchange = inputs.exchange,
                          .executor = inputs.executor,
                          .loop = inputs.loop,
                          .log = inputs.log,
                          .root = inputs.config.root,
                          .state = inputs.config.state,
                          .version = kBerthVersion,
                          .shim_program = std::move(shim_program)});
  {
    MutexLock lock(&ear_->mutex);
    ear_->engine = engine_.get();
  }
  return engine_->Begin(subscription_);
}

void DockerEngine::LoopEnded() {
  if (engine_ != nullptr) engine_->log_watch().LoopEnded();
}

}  // namespace berth
