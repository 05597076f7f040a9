// Everything that runs containers: the loop thread, the shims' program and supervisor, and the
// socket on which shims report.
//
// Invariant: Stop leaves shims and containers running and no thread of ours. Thread-compatible;
// owned by Daemon, stopped after the gRPC server.
#ifndef BERTH_SERVER_MAIN_TASK_ENGINE_H_
#define BERTH_SERVER_MAIN_TASK_ENGINE_H_

#include <sys/resource.h>

#include <future>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/os/unique_fd.h"
#include "server/api/events_ttrpc.h"
#include "server/events/exchange.h"
#include "server/main/config.h"
#include "server/metadata/container_store.h"
#include "server/metadata/snapshot_store.h"
#include "server/task/loop_thread.h"
#include "server/task/shim_binary.h"
#include "server/task/shim_launcher.h"
#include "server/task/task_manager.h"

namespace berth {

class TaskEngine {
 public:
  // The shim's program on its way into memory, on a thread of its own.
  using LoadingShim = std::future<absl::StatusOr<ShimBinary>>;
  static LoadingShim LoadShim(const Config& config);

  struct Inputs {
    const Config& config;
    LoadingShim shim;
    struct rlimit nofile;     // what containers get
    UniqueFd ttrpc_listener;  // where shims report
    metadata::ContainerStore& containers;
    metadata::SnapshotStore& snapshots;
    Exchange& exchange;
    const Logger& log;
  };
  // Takes over what earlier daemons left running, then serves. Blocks. Errors: NOT_FOUND without
  // the shim's program.
  static absl::StatusOr<std::unique_ptr<TaskEngine>> Start(Inputs inputs);
  ~TaskEngine();
  void Stop();

  TaskManager& tasks() { return *tasks_; }
  Loop& loop() { return loop_->loop(); }

 private:
  TaskEngine(ShimBinary shim, std::unique_ptr<LoopThread> loop, size_t threads, size_t queue_limit)
      : shim_(std::move(shim)), loop_(std::move(loop)), executor_(threads, queue_limit, "tasks") {}

  const ShimBinary shim_;
  const std::unique_ptr<LoopThread> loop_;
  Executor executor_;
  std::unique_ptr<ShimLauncher> launcher_;
  std::unique_ptr<EventsTtrpc> events_;
  std::unique_ptr<TaskManager> tasks_;
  bool stopped_ = true;  // until the loop runs: there is nobody to answer a Stop before
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_TASK_ENGINE_H_
