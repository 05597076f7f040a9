// What happens to a bundle whose shim is gone, however it went: the rest of the container is
// removed, what nobody has announced is announced, the directory disappears.
//
// Invariant: each exit that the journal holds unannounced is published, earlier generations first,
// execs before init, exit before delete, with the status and time that the shim recorded; a
// container that still ran is killed by the shim's `delete` command and gets the status that the
// command reports, or 255 when the command fails or the machine was booted since. Events are
// published before the bundle goes, so a daemon that is killed in between announces twice rather
// than never. A bundle whose `delete` keeps failing stays, and is tried again for ever, at growing
// intervals. Loop-only; files and commands go to the executor. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_RECONCILER_H_
#define BERTH_SERVER_TASK_RECONCILER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/journal/journal.h"
#include "base/log/logger.h"
#include "base/loop/loop.h"
#include "server/events/event_sink.h"
#include "server/task/bundle.h"
#include "server/task/command_runner.h"
#include "server/task/shim_launcher.h"

namespace berth {

struct ProcessExit {
  std::string exec_id;  // empty for init
  uint32_t pid = 0;
  uint32_t status = 0;
  absl::Time at;
};

// How a task whose shim is gone ended.
struct TaskEnd {
  // False for a container that was never created: it has no exit.
  bool existed = false;
  ProcessExit init;
  std::vector<ProcessExit> execs;
};

class Reconciler {
 public:
  struct Bundle {
    TaskKey key;
    std::string path;
    std::string socket_path;
    std::string foreign_binary;  // empty: our own shim, which keeps a journal
    // What the daemon knows of a foreign shim's task, which keeps no journal of ours.
    bool foreign_task_existed = false;
    // kShim: it ended in order, having told everything; there is nothing left to announce.
    enum class Announcer { kUs, kShim } announcer = Announcer::kUs;
  };
  struct Options {
    absl::Duration delete_timeout = absl::Seconds(30);
    absl::Duration first_retry = absl::Seconds(1);
    absl::Duration last_retry = absl::Minutes(1);
    int attempts_before_announcing = 3;
  };
  struct Callbacks {
    // The end is known and announced. Comes once.
    absl::AnyInvocable<void(const TaskEnd&)> on_end;
    // The bundle is gone, and its id free. Comes once, after on_end.
    absl::AnyInvocable<void()> on_removed;
  };

  Reconciler(Loop& loop, Executor& executor, const BundleStore& bundles,
             const ShimLauncher& launcher, CommandRunner& commands, EventSink& events,
             const Logger& log, Options options);
  ~Reconciler();

  // Requires: the shim of `bundle` has ended, and no other Clean of it runs.
  void Clean(Bundle bundle, Callbacks callbacks);

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;

  void OnJournal(const JobPtr& job, absl::StatusOr<journal::State> journal);
  void RunDelete(const JobPtr& job);
  void OnDeleteEnded(const JobPtr& job, absl::StatusOr<CommandResult> result);
  void Settle(const JobPtr& job);
  void PublishDelete(const TaskKey& key, const ProcessExit& init) const;
  void Announce(const Job& job, const TaskEnd& end) const;
  void RemoveBundle(const JobPtr& job);
  void Retry(const JobPtr& job, const absl::Status& reason,
             absl::AnyInvocable<void(const JobPtr&)> step);

  Loop& loop_;
  Executor& executor_;
  const BundleStore& bundles_;
  const ShimLauncher& launcher_;
  CommandRunner& commands_;
  EventSink& events_;
  const Logger& log_;
  const Options options_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_RECONCILER_H_
