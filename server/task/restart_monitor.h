// What containerd's restart monitor does beside a shim's own policy: a container that is labelled
// `containerd.io/restart.status=running` and has no task gets one, one labelled `stopped` loses its
// own, and `containerd.io/restart.count` says how often the shim has started it again.
//
// Invariant: one look at a time, one container after the other; no thread is held while a shim is
// waited for. A record that has just been written is left alone: its client may be about to create
// the task. Thread-safe. Owned by server/main; what it borrows must outlive Stop and the executor.
#ifndef BERTH_SERVER_TASK_RESTART_MONITOR_H_
#define BERTH_SERVER_TASK_RESTART_MONITOR_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/loop/loop.h"
#include "base/sqlite/database.h"
#include "server/metadata/container_store.h"
#include "server/metadata/snapshot_store.h"
#include "server/task/task_manager.h"

namespace berth {

class RestartMonitor : public std::enable_shared_from_this<RestartMonitor> {
 public:
  struct Parts {
    sqlite::Database& database;
    metadata::ContainerStore& containers;
    metadata::SnapshotStore& snapshots;
    TaskManager& tasks;
    Executor& executor;
    Loop& loop;
    const Logger& log;
  };
  struct Options {
    absl::Duration interval = absl::Seconds(10);  // as containerd has it
    absl::Duration settled = absl::Seconds(2);    // age of a record that is looked at
    absl::Duration call_timeout = absl::Seconds(30);
  };

  RestartMonitor(Parts parts, Options options) : parts_(parts), options_(options) {}

  void Start();
  void Stop() { stopped_.store(true); }

 private:
  using Container = containerd::services::containers::v1::Container;
  struct Labelled {
    std::string ns;
    Container container;
  };
  struct Round;
  using RoundPtr = std::shared_ptr<Round>;

  void Look();
  void LookAgainLater();
  absl::StatusOr<std::vector<Labelled>> Find();
  void Next(const RoundPtr& round);
  void Begin(const RoundPtr& round, const Labelled& one);
  void End(const RoundPtr& round, const Labelled& one);
  void Count(const RoundPtr& round, const Labelled& one);
  void Finish(const RoundPtr& round, const Labelled& one, const char* what,
              const absl::Status& status);
  absl::StatusOr<containerd::services::tasks::v1::CreateTaskRequest> CreationOf(
      const Labelled& one) const;
  TaskCall CallFor(const Labelled& one) const;

  const Parts parts_;
  const Options options_;
  std::atomic<bool> stopped_{false};
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_RESTART_MONITOR_H_
