// One task as the daemon sees it: its shim's process and connection, the order of its
// state-changing calls, and who waits for its processes.
//
// Invariant: what the container does is known to the shim alone; the daemon asks, and remembers
// only how far its own work on the task has come. Calls that change state go through queue();
// the rest (kill, state, pids, stdio, wait, execs) go straight to the shim, so that none of them
// waits behind a slow one. Loop-only. Owned by TaskManager and by the callbacks that are out.
#ifndef BERTH_SERVER_TASK_TASK_H_
#define BERTH_SERVER_TASK_TASK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/journal/journal_format.h"
#include "base/loop/loop.h"
#include "google/protobuf/message_lite.h"
#include "server/task/bundle.h"
#include "server/task/exit_waiters.h"
#include "server/task/operation_queue.h"
#include "server/task/reconciler.h"
#include "server/task/shim_link.h"
#include "server/task/shim_log_pipe.h"
#include "server/task/shim_process.h"

namespace berth {

enum class TaskStage {
  kCreating,  // from Create's first step until the shim has answered
  kReady,     // the shim has a container
  kDeleting,  // the shim has deleted it, or never made it, and is being ended
  kLost,      // the shim has ended by itself; its remains are being removed
};

class Task : public std::enable_shared_from_this<Task> {
 public:
  Task(Loop& loop, TaskKey key, std::string bundle);
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  const TaskKey& key() const { return key_; }
  const std::string& bundle() const { return bundle_; }
  TaskStage stage() const { return stage_; }
  void set_stage(TaskStage stage) { stage_ = stage; }
  const std::string& foreign_binary() const { return foreign_binary_; }
  void set_foreign_binary(std::string path) { foreign_binary_ = std::move(path); }

  // What generation `generation` of the container was made with, as clients named it. Only for our
  // own shim, where its journal tells pauses as well: the rest of its state is then in there too.
  struct KnownStdio {
    journal::Stdio stdio;
    uint32_t generation = 1;
  };
  const std::optional<KnownStdio>& known_stdio() const { return known_stdio_; }
  void set_known_stdio(KnownStdio known) { known_stdio_ = std::move(known); }

  void set_log_pipe(std::unique_ptr<ShimLogPipe> pipe) { log_pipe_ = std::move(pipe); }

  OperationQueue& queue() { return *queue_; }

  // Gives the task its shim. `on_gone` runs once when the process ends; for a shim whose process
  // is not known, when its connection is lost. `connection` may be invalid: the first call
  // connects.
  struct Shim {
    pid_t pid = -1;
    UniqueFd pidfd;
    std::string socket_path;
    UniqueFd connection;
    ShimApi api = ShimApi::kV2;
  };
  absl::Status Attach(Shim shim, absl::AnyInvocable<void(const std::string& how)> on_gone);
  bool has_shim() const { return link_ != nullptr; }
  std::string socket_path() const { return link_ == nullptr ? "" : link_->socket_path(); }
  ShimProcess* process() { return process_.get(); }
  // Ends the shim's process by force.
  void KillShim();
  bool shim_killed() const { return shim_killed_; }

  // Asks the shim, whatever the stage. Requires: has_shim().
  template <typename Response>
  void CallShim(absl::string_view method, const google::protobuf::MessageLite& request,
                absl::Duration timeout, absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
    link_->Call<Response>(method, request, timeout, Explaining<Response>(std::move(done)));
  }
  // Asks our own shim's berth.shim.v1.Supervisor. Requires: has_shim().
  template <typename Response>
  void CallSupervisor(absl::string_view method, const google::protobuf::MessageLite& request,
                      absl::Duration timeout,
                      absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
    link_->CallService<Response>("berth.shim.v1.Supervisor", method, request, timeout,
                                 Explaining<Response>(std::move(done)));
  }
  // Why no call can be passed on to the shim now; OK when it can. Errors: NOT_FOUND while there is
  // no container yet or any more, UNAVAILABLE after the loss of the shim.
  absl::Status CheckReady() const;

  // Whether the shim missed the deadline of the last question about its state: it hangs, or is
  // stopped.
  bool slow() const { return slow_; }
  void set_slow(bool slow) { slow_ = slow; }
  // Whether a Start got no answer in time: it may have succeeded since.
  bool start_unanswered() const { return start_unanswered_; }
  void set_start_unanswered(bool unanswered) { start_unanswered_ = unanswered; }

  // Waits for a process's end. Errors: as the shim says; RESOURCE_EXHAUSTED.
  void Wait(const std::string& exec_id, uint64_t ticket, ExitWaiters::Done done);
  void CancelWait(const std::string& exec_id, uint64_t ticket);
  // Answers all who wait, and those who wait for reconciliation.
  void OnEnd(const TaskEnd& end);

  // Runs once the reconciliation of a lost shim knows how the task ended (or with nullptr when the
  // daemon stops).
  void WhenEnded(absl::AnyInvocable<void(const TaskEnd*)> callback);

  // Drops the connection and all waiters with `reason`; the shim goes on.
  void Release(const absl::Status& reason);

  // The wish to abandon a create that is under way.
  bool create_cancelled() const { return create_cancelled_; }
  void CancelCreate() { create_cancelled_ = true; }

 private:
  template <typename Response>
  absl::AnyInvocable<void(absl::StatusOr<Response>)> Explaining(
      absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
    return [self = shared_from_this(), done = std::move(done)](absl::StatusOr<Response> r) mutable {
      if (!r.ok()) return done(self->Explain(std::move(r).status()));
      done(std::move(r));
    };
  }
  void AskForExit(const std::string& exec_id);
  void OnExitAnswer(const std::string& exec_id, absl::StatusOr<ExitWaiters::Response> answer);
  absl::Status Explain(absl::Status error) const;

  Loop& loop_;
  const TaskKey key_;
  const std::string bundle_;
  std::string foreign_binary_;
  TaskStage stage_ = TaskStage::kCreating;
  bool create_cancelled_ = false;
  bool released_ = false;
  bool shim_killed_ = false;
  bool slow_ = false;
  bool start_unanswered_ = false;
  std::optional<KnownStdio> known_stdio_;
  const std::shared_ptr<OperationQueue> queue_;
  std::unique_ptr<ShimLogPipe> log_pipe_;  // of a foreign shim
  std::unique_ptr<ShimLink> link_;
  std::unique_ptr<ShimProcess> process_;
  absl::AnyInvocable<void(const std::string&)> on_gone_;
  ExitWaiters waiters_;
  absl::flat_hash_set<std::string> asked_;  // processes whose exit a call to the shim awaits
  std::vector<absl::AnyInvocable<void(const TaskEnd*)>> when_ended_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TASK_H_
