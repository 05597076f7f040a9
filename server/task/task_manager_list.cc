// All tasks of a namespace: each shim is asked, and one that does not answer is answered for.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/journal/journal.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/gather.h"
#include "server/task/process_proto.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;
namespace shim_api = containerd::task::v2;

absl::Status StoppingError() { return absl::UnavailableError("the daemon is stopping"); }

}  // namespace

void TaskManager::List(TaskCall call, api::ListTasksRequest request,
                       TaskDone<api::ListTasksResponse> done) {
  if (stopped_.load()) return done(StoppingError());
  loop_.Post([this, call = std::move(call), done = std::move(done)]() mutable {
    using Process = containerd::v1::types::Process;
    const std::vector<TaskPtr> tasks = tasks_.InNamespace(call.ns);
    auto gather = Gather<Process>::Create(
        tasks.size(), [done = std::move(done)](std::vector<std::optional<Process>> found) mutable {
          api::ListTasksResponse response;
          for (auto& process : found) {
            if (process.has_value()) *response.add_tasks() = *std::move(process);
          }
          done(std::move(response));
        });
    for (size_t i = 0; i < tasks.size(); ++i) {
      // A task that cannot be asked is listed all the same: it is there, and it is in trouble.
      Process unknown;
      unknown.set_id(tasks[i]->key().id);
      unknown.set_status(containerd::v1::types::UNKNOWN);
      if (tasks[i]->stage() != TaskStage::kReady) {
        gather->Put(i, tasks[i]->stage() == TaskStage::kLost ? std::optional<Process>(unknown)
                                                             : std::nullopt);
        continue;
      }
      // A shim that was slow the last time is not waited for again, but asked, to notice when it
      // is back.
      const bool slow = tasks[i]->slow();
      const auto from_journal = [this, gather, i, unknown, task = tasks[i]] {
        ReadState(task, [gather, i, unknown](std::optional<Process> process) {
          gather->Put(i, process.has_value() ? *std::move(process) : unknown);
        });
      };
      if (slow) from_journal();
      shim_api::StateRequest request;
      request.set_id(tasks[i]->key().id);
      tasks[i]->CallShim<shim_api::StateResponse>(
          "State", request,
          slow ? options_.state_timeout
               : std::clamp(call.deadline - absl::Now(), absl::Milliseconds(1),
                            options_.state_timeout),
          [gather, i, slow, from_journal,
           task = tasks[i]](absl::StatusOr<shim_api::StateResponse> state) {
            task->set_slow(absl::IsDeadlineExceeded(state.status()));
            if (slow) return;
            if (state.ok()) return gather->Put(i, ToProcess(*state));
            if (absl::IsNotFound(state.status())) return gather->Put(i, std::nullopt);
            from_journal();
          });
    }
  });
}

void TaskManager::ReadState(
    const TaskPtr& task,
    absl::AnyInvocable<void(std::optional<containerd::v1::types::Process>)> done) {
  if (!task->foreign_binary().empty()) return done(std::nullopt);  // keeps no journal of ours
  executor_.PostContinuation([loop = &loop_, id = task->key().id, bundle = task->bundle(),
                              done = std::move(done)]() mutable {
    std::optional<containerd::v1::types::Process> process;
    const auto journal = journal::ReadJournal(bundle);
    if (journal.ok()) process = FromJournal(id, journal->init);
    loop->Post([done = std::move(done), process = std::move(process)]() mutable {
      done(std::move(process));
    });
  });
}

}  // namespace berth
