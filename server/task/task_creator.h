// The way from a container's record to a task: bundle, shim, and the shim's Create.
//
// Invariant: a create that fails, is cancelled or misses its deadline leaves nothing and answers
// after the id is free again. Disk and spawn run on the executor, the rest on the loop.
// Loop-only. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_TASK_CREATOR_H_
#define BERTH_SERVER_TASK_TASK_CREATOR_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/loop/loop.h"
#include "proto/containerd/services/containers/v1/containers.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/task/bundle.h"
#include "server/task/life_trace.h"
#include "server/task/runtime_name.h"
#include "server/task/shim_launcher.h"
#include "server/task/shim_supervisor.h"
#include "server/task/task.h"
#include "server/task/task_table.h"

namespace berth {

// Looks up a container's record. Blocks; called on the executor.
using FindContainer = std::function<absl::StatusOr<containerd::services::containers::v1::Container>(
    const std::string& ns, const std::string& id)>;

class TaskCreator {
 public:
  using Request = containerd::services::tasks::v1::CreateTaskRequest;
  using Response = containerd::services::tasks::v1::CreateTaskResponse;
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;
  struct Options {
    RuntimeAliases aliases;
    std::string search_path;  // PATH, for shims that a runtime name stands for
    absl::Duration create_timeout = absl::Minutes(5);
    absl::Duration start_timeout = absl::Seconds(30);  // of a foreign shim
    absl::Duration removal_timeout = absl::Seconds(10);
    absl::Duration cancel_grace = absl::Seconds(3);
  };

  TaskCreator(Loop& loop, Executor& executor, TaskTable& tasks, const BundleStore& bundles,
              const ShimLauncher& launcher, ShimSupervisor& supervisor, FindContainer find,
              LifeTrace& trace, Options options);

  // Errors: ALREADY_EXISTS; NOT_FOUND for an unknown container; UNIMPLEMENTED with a checkpoint;
  // CANCELLED; and what the shim says.
  void Create(const TaskKey& key, Request request, absl::Time deadline, Done done);
  // Abandons a create that is under way; its Create answers CANCELLED when all is undone.
  void Cancel(const std::shared_ptr<Task>& task);
  void Stop() { stopping_ = true; }

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  struct Prepared;

  absl::StatusOr<Prepared> Prepare(const TaskKey& key, const Request& request,
                                   StepClock& clock) const;
  void OnPrepared(const JobPtr& job, absl::StatusOr<Prepared> prepared);
  void StartForeign(const JobPtr& job, const std::string& binary);
  void CallCreate(const JobPtr& job);
  void OnCreated(const JobPtr& job, absl::StatusOr<uint32_t> pid);
  void Succeed(const JobPtr& job, uint32_t pid);
  void Fail(const JobPtr& job, absl::Status error);

  Loop& loop_;
  Executor& executor_;
  TaskTable& tasks_;
  const BundleStore& bundles_;
  const ShimLauncher& launcher_;
  ShimSupervisor& supervisor_;
  const FindContainer find_;
  LifeTrace& trace_;
  const Options options_;
  bool stopping_ = false;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TASK_CREATOR_H_
