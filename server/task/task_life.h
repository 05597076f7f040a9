// What shims do for their containers on their own (restart policies, health checks, attach), as
// the rest of the daemon asks for it.
//
// Invariant: each `done` runs exactly once, from the loop. A call on one task never waits for
// another's shim. Every call has a deadline. Tasks of foreign shims answer UNIMPLEMENTED.
// Concurrency: thread-safe. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_TASK_LIFE_H_
#define BERTH_SERVER_TASK_TASK_LIFE_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/attach/attach.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "server/task/bundle.h"
#include "server/task/restart_labels.h"
#include "server/task/task_table.h"

namespace berth {

class TaskLife {
 public:
  template <typename Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  TaskLife(Loop& loop, TaskTable& tasks) : loop_(loop), tasks_(tasks) {}

  // `id` of the requests may be empty; the key says it. Errors: NOT_FOUND without a task,
  // INVALID_ARGUMENT, UNIMPLEMENTED, DEADLINE_EXCEEDED, UNAVAILABLE.
  void SetPolicy(TaskKey key, shim::v1::SetPolicyRequest request, absl::Duration timeout,
                 Done<shim::v1::SetPolicyResponse> done);
  // What the restart monitor's labels of a container say, which has just been changed. A container
  // without a task, or with a foreign shim, has nothing to be told: OK.
  void ApplyLabels(TaskKey key, const Labels& labels, absl::Duration timeout,
                   absl::AnyInvocable<void(absl::Status)> done);
  void MarkStopped(TaskKey key, shim::v1::MarkStoppedRequest request, absl::Duration timeout,
                   Done<shim::v1::MarkStoppedResponse> done);
  void GetStatus(TaskKey key, absl::Duration timeout, Done<shim::v1::GetStatusResponse> done);
  void GetSteps(TaskKey key, absl::Duration timeout, Done<shim::v1::GetStepsResponse> done);
  // Errors: also what docs/formats/shim-upgrade.md says.
  void Upgrade(TaskKey key, shim::v1::UpgradeRequest request, absl::Duration timeout,
               Done<shim::v1::UpgradeResponse> done);
  // A non-blocking connection to the shim's attach socket, the hello sent: frames come back, and
  // what is written is input. Errors: also FAILED_PRECONDITION where there is no such socket.
  void Attach(TaskKey key, attach::Hello hello, Done<UniqueFd> done);

 private:
  template <typename Request, typename Response>
  void Ask(TaskKey key, const char* method, Request request, absl::Duration timeout,
           Done<Response> done);
  // Errors: NOT_FOUND, UNAVAILABLE, UNIMPLEMENTED.
  absl::StatusOr<TaskTable::TaskPtr> Find(const TaskKey& key) const;

  Loop& loop_;
  TaskTable& tasks_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TASK_LIFE_H_
