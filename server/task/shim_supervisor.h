// Watches over shims: takes over new ones and those of an earlier daemon, ends those that have
// nothing to do any more, and cleans up after those that ended by themselves.
//
// Invariant: every bundle on disk belongs to a task in the table, and a task leaves the table when
// its bundle is gone, whatever happened to shim and daemon in between.
// Loop-only, except as said. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_SHIM_SUPERVISOR_H_
#define BERTH_SERVER_TASK_SHIM_SUPERVISOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/loop/loop.h"
#include "server/events/event_sink.h"
#include "server/task/bundle.h"
#include "server/task/command_runner.h"
#include "server/task/reconciler.h"
#include "server/task/shim_launcher.h"
#include "server/task/task.h"
#include "server/task/task_table.h"

namespace berth {

class ShimSupervisor {
 public:
  struct Options {
    absl::Duration shutdown_timeout = absl::Seconds(3);
    absl::Duration connect_timeout = absl::Seconds(5);
    Reconciler::Options reconciler;
  };
  using TaskPtr = std::shared_ptr<Task>;

  ShimSupervisor(Loop& loop, Executor& executor, TaskTable& tasks, const BundleStore& bundles,
                 const ShimLauncher& launcher, EventSink& events, const Logger& log,
                 Options options);

  CommandRunner& commands() { return commands_; }

  // Reads what a foreign shim logs; it is opened before the shim is started, which waits for it.
  void OpenLog(const TaskPtr& task);
  // Gives `task` its shim, and watches it from now on.
  absl::Status Attach(const TaskPtr& task, Task::Shim shim);
  // Ends the shim of a task that has no container (any more), removes what is left and takes the
  // task from the table; then `done` runs. kKill does not ask the shim first.
  enum class Ending { kShutdown, kKill };
  void Finish(const TaskPtr& task, Ending ending, absl::AnyInvocable<void()> done);
  // Runs when the id of a task that is being removed is free.
  void WhenRemoved(const TaskPtr& task, absl::AnyInvocable<void()> callback);

  // Finds all bundles of earlier daemons. Living shims are in the table when it returns; what is
  // left of the others is removed in the background. Blocks: reads a journal per bundle; called
  // before the loop runs.
  absl::Status Adopt();
  // From now on the end of a shim or of a connection is no news.
  void Stop();

 private:
  void OnShimGone(const TaskPtr& task, const std::string& how);
  using Announcer = Reconciler::Bundle::Announcer;
  void Clean(const TaskPtr& task, Announcer announcer = Announcer::kUs);
  // What there is of an earlier daemon's task.
  struct Found;
  Found Look(const TaskKey& key) const;
  void AdoptOne(const TaskKey& key, Found found);
  void AdoptByConnection(const TaskPtr& task, const std::string& socket_path);
  std::string ForeignSocket(const TaskPtr& task) const;

  Loop& loop_;
  Executor& executor_;
  TaskTable& tasks_;
  const BundleStore& bundles_;
  const ShimLauncher& launcher_;
  const Logger& log_;
  const Options options_;
  CommandRunner commands_;
  Reconciler reconciler_;
  bool stopping_ = false;
  absl::flat_hash_set<const Task*> cleaning_;
  absl::flat_hash_map<const Task*, std::vector<absl::AnyInvocable<void()>>> when_removed_;
};

// The unix path in the address that a shim printed or stored: a plain "unix://...", or the JSON of
// newer shims. Errors: INVALID_ARGUMENT, UNIMPLEMENTED for another protocol than ttrpc.
struct ShimAddress {
  std::string socket_path;
  ShimApi api = ShimApi::kV2;
};
absl::StatusOr<ShimAddress> ParseShimAddress(absl::string_view text);

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_SUPERVISOR_H_
