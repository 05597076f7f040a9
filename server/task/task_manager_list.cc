// All tasks of a namespace: from the journals where they tell all; else the shim is asked, and one
// that does not answer is answered for.
#include <algorithm>
#include <memory>
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

using Process = containerd::v1::types::Process;

// One thread's share of a long list.
constexpr size_t kJournalsAtOnce = 128;

absl::Status StoppingError() { return absl::UnavailableError("the daemon is stopping"); }

Process Unknown(const Task& task) {
  Process process;
  process.set_id(task.key().id);
  process.set_status(containerd::v1::types::UNKNOWN);
  return process;
}

// Blocks; on any thread, as what it takes of a ready task does not change. Nothing where the shim
// has to be asked.
std::optional<Process> ReadWholeState(const Task& task) {
  const Task::KnownStdio& known = *task.known_stdio();
  const auto init = journal::ReadInit(task.bundle());
  if (!init.ok() || init->generation != known.generation) return std::nullopt;
  return StateFromJournal(task.key().id, *init, known.stdio);
}

}  // namespace

struct TaskManager::Listing {
  std::vector<TaskPtr> tasks;
  absl::Time deadline;
  std::shared_ptr<Gather<Process>> gather;  // a place for each
};

void TaskManager::List(TaskCall call, api::ListTasksRequest request,
                       TaskDone<api::ListTasksResponse> done) {
  if (stopped_.load()) return done(StoppingError());
  loop_.Post([this, call = std::move(call), done = std::move(done)]() mutable {
    auto listing = std::make_shared<Listing>();
    listing->tasks = tasks_.InNamespace(call.ns);
    listing->deadline = call.deadline;
    listing->gather = Gather<Process>::Create(listing->tasks.size(),
                                              [done = std::move(done)](auto found) mutable {
                                                api::ListTasksResponse response;
                                                for (auto& process : found) {
                                                  if (process.has_value())
                                                    *response.add_tasks() = *std::move(process);
                                                }
                                                done(std::move(response));
                                              });
    std::vector<size_t> in_journals;
    for (size_t i = 0; i < listing->tasks.size(); ++i) {
      const Task& task = *listing->tasks[i];
      if (task.stage() == TaskStage::kReady) {
        if (task.known_stdio().has_value()) {
          in_journals.push_back(i);
        } else {
          ListByAsking(listing, i);
        }
        continue;
      }
      listing->gather->Put(
          i, task.stage() == TaskStage::kLost ? std::optional(Unknown(task)) : std::nullopt);
    }
    for (size_t from = 0; from < in_journals.size(); from += kJournalsAtOnce) {
      const size_t to = std::min(from + kJournalsAtOnce, in_journals.size());
      ListFromJournals(listing, {in_journals.begin() + static_cast<ptrdiff_t>(from),
                                 in_journals.begin() + static_cast<ptrdiff_t>(to)});
    }
  });
}

// A thousand shims need not wake up for a list: what they would say is in their journals.
void TaskManager::ListFromJournals(const ListingPtr& listing, std::vector<size_t> places) {
  executor_.PostContinuation([this, loop = &loop_, listing, places = std::move(places)]() mutable {
    std::vector<std::optional<Process>> found;
    found.reserve(places.size());
    for (const size_t place : places) found.push_back(ReadWholeState(*listing->tasks[place]));
    // Moved: the last reference to a task must go on the loop.
    loop->Post([this, listing = std::move(listing), places = std::move(places),
                found = std::move(found)]() mutable {
      for (size_t i = 0; i < places.size(); ++i) {
        if (found[i].has_value()) {
          listing->gather->Put(places[i], std::move(found[i]));
        } else {
          ListByAsking(listing, places[i]);
        }
      }
    });
  });
}

void TaskManager::ListByAsking(const ListingPtr& listing, size_t place) {
  const TaskPtr& task = listing->tasks[place];
  // A task that cannot be asked is listed all the same: it is there, and it is in trouble.
  const auto from_journal = [this, gather = listing->gather, place, task] {
    ReadState(task, [gather, place, task](std::optional<Process> process) {
      gather->Put(place, process.has_value() ? *std::move(process) : Unknown(*task));
    });
  };
  // A shim that was slow the last time is not waited for again, but asked, to notice when it is
  // back.
  const bool slow = task->slow();
  if (slow) from_journal();
  shim_api::StateRequest request;
  request.set_id(task->key().id);
  task->CallShim<shim_api::StateResponse>(
      "State", request,
      slow ? options_.state_timeout
           : std::clamp(listing->deadline - absl::Now(), absl::Milliseconds(1),
                        options_.state_timeout),
      [gather = listing->gather, place, slow, from_journal,
       task](absl::StatusOr<shim_api::StateResponse> state) {
        task->set_slow(absl::IsDeadlineExceeded(state.status()));
        if (slow) return;
        if (state.ok()) return gather->Put(place, ToProcess(*state));
        if (absl::IsNotFound(state.status())) return gather->Put(place, std::nullopt);
        from_journal();
      });
}

void TaskManager::ReadState(
    const TaskPtr& task,
    absl::AnyInvocable<void(std::optional<containerd::v1::types::Process>)> done) {
  if (!task->foreign_binary().empty()) return done(std::nullopt);  // keeps no journal of ours
  executor_.PostContinuation([loop = &loop_, id = task->key().id, bundle = task->bundle(),
                              done = std::move(done)]() mutable {
    std::optional<Process> process;
    const auto init = journal::ReadInit(bundle);
    if (init.ok()) process = FromJournal(id, *init);
    loop->Post([done = std::move(done), process = std::move(process)]() mutable {
      done(std::move(process));
    });
  });
}

}  // namespace berth
