// What happens to containers from start to removal, and the record of it.
//
// The shim and the kernel know what runs; this class tells them what to do, writes down what they
// report (the task events of the exchange), and answers who waits. Invariant: the state of a row
// says RUNNING only between a start that succeeded and the handling of the exit; an exit is written
// before any waiter hears of it. Steps that must not mix (start, exit, removal, rename) hold the
// container's lock; nobody holds it while a signal takes its time. The daemon may be killed between
// any two steps: Reconcile brings rows and tasks together again. Thread-safe. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_LIFECYCLE_H_
#define BERTH_SERVER_ENGINE_LIFECYCLE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "proto/berth/engine/v1/life.pb.h"
#include "proto/berth/engine/v1/record.pb.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "server/engine/async.h"
#include "server/engine/container_records.h"
#include "server/engine/container_table.h"
#include "server/engine/end_waiters.h"
#include "server/engine/engine_parts.h"
#include "server/engine/event_log.h"
#include "server/engine/init_program.h"
#include "server/engine/keyed_locks.h"
#include "server/engine/spec_input.h"
#include "server/engine/volumes.h"

namespace berth {
class Subscription;
}  // namespace berth
namespace containerd::services::events::v1 {
class Envelope;
}  // namespace containerd::services::events::v1

namespace berth::engine {

// The exit of a container's own process, as an event tells it.
struct TaskEndNews {
  uint32_t pid = 0;
  uint32_t status = 0;
  absl::Time at;
};

class Lifecycle {
 public:
  struct Collaborators {
    const EngineParts& parts;
    ContainerTable& table;
    ContainerRecords& records;
    EventLog& events;
    Volumes& volumes;
  };
  explicit Lifecycle(Collaborators collaborators);
  ~Lifecycle();

  // Follows the task events, which `subscription` has queued since before tasks were adopted, and
  // brings rows and tasks together. Returns at once.
  void Begin(std::shared_ptr<Subscription> subscription);
  // Called by a subscription's publisher.
  void OnEventsReady();

  Async<absl::StatusOr<v1::StartContainerResponse>> Start(ContainerKey key,
                                                          v1::StartContainerRequest request);
  Async<absl::StatusOr<v1::StopContainerResponse>> Stop(ContainerKey key,
                                                        v1::StopContainerRequest request);
  Async<absl::StatusOr<v1::KillContainerResponse>> Kill(ContainerKey key,
                                                        v1::KillContainerRequest request);
  Async<absl::StatusOr<v1::RestartContainerResponse>> Restart(ContainerKey key,
                                                              v1::RestartContainerRequest request);
  Async<absl::StatusOr<v1::PauseContainerResponse>> Pause(ContainerKey key);
  Async<absl::StatusOr<v1::UnpauseContainerResponse>> Unpause(ContainerKey key);
  Async<absl::StatusOr<v1::RenameContainerResponse>> Rename(ContainerKey key, std::string name);
  Async<absl::StatusOr<v1::UpdateContainerResponse>> Update(ContainerKey key,
                                                            v1::UpdateContainerRequest request);
  Async<absl::StatusOr<v1::RemoveContainerResponse>> Remove(ContainerKey key,
                                                            v1::RemoveContainerRequest request);

  // `callback` runs once, on any thread. Errors: NOT_FOUND. Blocks.
  absl::StatusOr<EndWaiters::Ticket> Wait(const ContainerKey& key,
                                          v1::WaitContainerRequest::Condition condition,
                                          EndWaiters::Callback callback);
  void CancelWait(const ContainerKey& key, EndWaiters::Ticket ticket) {
    waiters_.Cancel(key, ticket);
  }
  // For who asks after a removal: --rm may be faster than a client that was cut off.
  std::optional<ContainerEnd> EndOfRemoved(const ContainerKey& key) {
    return waiters_.EndOfRemoved(key);
  }

  // Runs when a container's task is created and not yet started: attachments of clients that came
  // before. Set once, before Begin.
  using OnTaskCreated = std::function<void(const ContainerKey&, absl::AnyInvocable<void()> ready)>;
  void set_on_task_created(OnTaskCreated function) { on_task_created_ = std::move(function); }
  // Runs when an exec has ended.
  using OnExecEnd =
      std::function<void(const ContainerKey&, const std::string& exec_id, const TaskEndNews& end)>;
  void set_on_exec_end(OnExecEnd function) { on_exec_end_ = std::move(function); }

  // What a spec needs besides the record. Errors: FAILED_PRECONDITION for a container whose
  // namespaces are to be joined and that does not run. Blocks.
  absl::StatusOr<SpecInput> MakeSpecInput(const ContainerKey& key, const v1::Container& container);
  void Publish(const ContainerKey& key, const v1::Container& container, absl::string_view action,
               EventLog::Attributes more = {});

  // The lock of each container, for others whose steps must not mix with a start or a removal.
  KeyedLocks& locks() { return locks_; }

  // On the loop's thread: `function` must not block.
  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> function);

 private:
  using StatusResponse = absl::StatusOr<shim::v1::GetStatusResponse>;

  // Starts the task; the lock is held.
  Async<absl::Status> Launch(ContainerKey key, v1::Container container, uint32_t columns,
                             uint32_t rows);
  Async<absl::Status> CreateTask(ContainerKey key, v1::Container container, uint32_t columns,
                                 uint32_t rows);
  Async<absl::Status> SetPolicy(ContainerKey key, v1::Container container);
  Async<absl::Status> Signal(ContainerKey key, int signal);
  void ReleaseVolumes(const ContainerKey& key);
  // Removes the task, whatever it does. Errors: but for NOT_FOUND.
  Async<absl::Status> DeleteTask(ContainerKey key);
  Async<absl::Status> MarkStopped(ContainerKey key);
  // OK: it does not run. Errors: DEADLINE_EXCEEDED.
  Async<absl::Status> AwaitExit(ContainerKey key, absl::Duration limit);
  // Ends it by SIGKILL if it runs.
  Async<absl::Status> KillAndAwait(ContainerKey key);

  Async<bool> OnExit(ContainerKey key, TaskEndNews end);
  Async<bool> OnStarted(ContainerKey key, uint32_t pid);
  Async<bool> OnOom(ContainerKey key);
  // `status`: a shim.v1.Health.Status.
  Async<bool> OnHealth(ContainerKey key, int status);
  // Writes the end down, or that the policy starts it again; the lock is held.
  Async<bool> Settle(ContainerKey key, TaskEndNews end);
  // The lock is held; the task is gone or goes.
  Async<absl::Status> RemoveAll(ContainerKey key, v1::Container container, bool with_volumes);
  Async<bool> ReconcileOne(ContainerKey key, v1::State state, bool is_new_boot);
  Async<bool> ReconcileAll(bool is_new_boot);
  // Those whose policy says so, of the containers that are found ended.
  void StartThoseThatComeBack(bool is_new_boot);
  void DrainEvents();
  void Handle(const containerd::services::events::v1::Envelope& envelope);
  // Files below the container's directory. Blocks.
  absl::Status WriteContainerFiles(const ContainerKey& key, const v1::Container& container);
  std::string LogTarget(const v1::Container& container) const;

  const EngineParts& parts_;
  ContainerTable& table_;
  ContainerRecords& records_;
  EventLog& events_;
  Volumes& volumes_;
  InitProgram init_program_;
  KeyedLocks locks_;
  EndWaiters waiters_;
  OnTaskCreated on_task_created_;
  OnExecEnd on_exec_end_;
  Mutex restarting_mutex_;
  // Stopped to be started again: --rm does not apply.
  absl::flat_hash_set<ContainerKey> restarting_ ABSL_GUARDED_BY(restarting_mutex_);
  std::shared_ptr<Subscription> subscription_;
  std::atomic<int> news_{0};
  std::atomic<bool> ready_{false};
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_LIFECYCLE_H_
