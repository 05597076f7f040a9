#include "server/main/metrics_page.h"

#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "server/events/exchange.h"
#include "server/main/call_metrics.h"
#include "server/main/storage.h"
#include "server/main/version.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;

constexpr absl::Duration kPatience = absl::Seconds(4);

// Outlives the page where an answer comes late.
struct Tally {
  Mutex mutex;
  int open ABSL_GUARDED_BY(mutex) = 0;
  std::map<std::pair<std::string, std::string>, int> tasks ABSL_GUARDED_BY(mutex);
};

std::map<std::pair<std::string, std::string>, int> CountTasks(
    const std::vector<std::string>& namespaces, TaskManager& tasks) {
  const auto tally = std::make_shared<Tally>();
  {
    MutexLock lock(&tally->mutex);
    tally->open = static_cast<int>(namespaces.size());
  }
  for (const std::string& ns : namespaces) {
    tasks.List({.ns = ns, .deadline = absl::Now() + kPatience}, {},
               [tally, ns](const absl::StatusOr<api::ListTasksResponse>& answer) {
                 MutexLock lock(&tally->mutex);
                 --tally->open;
                 if (!answer.ok()) return;
                 for (const auto& task : answer->tasks()) {
                   const std::string& name = containerd::v1::types::Status_Name(task.status());
                   ++tally->tasks[{ns, absl::AsciiStrToLower(name)}];
                 }
               });
  }
  MutexLock lock(&tally->mutex);
  const auto all_answered = [&tally]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return tally->open == 0; };
  tally->mutex.AwaitWithTimeout(absl::Condition(&all_answered), kPatience);
  return tally->tasks;
}

}  // namespace

std::string ObjectMetrics(Storage& storage, TaskManager& tasks, const Exchange& exchange) {
  std::vector<std::string> namespaces;
  std::string containers;
  if (const auto all = storage.namespaces().List(""); all.ok()) {
    for (const auto& each : *all) namespaces.push_back(each.name());
  }
  for (const std::string& ns : namespaces) {
    const auto found = storage.containers().List({.ns = ns}, {});
    if (!found.ok()) continue;
    absl::StrAppend(&containers, "berth_containers{namespace=\"", EscapeLabel(ns), "\"} ",
                    found->size(), "\n");
  }
  std::string text = absl::StrCat(
      "# HELP berth_build_info The program that serves.\n# TYPE berth_build_info gauge\n"
      "berth_build_info{version=\"",
      kBerthVersion,
      "\"} 1\n"
      "# HELP berth_containers Records of containers.\n# TYPE berth_containers gauge\n",
      containers, "# HELP berth_tasks Tasks by state.\n# TYPE berth_tasks gauge\n");
  for (const auto& [key, count] : CountTasks(namespaces, tasks)) {
    absl::StrAppend(&text, "berth_tasks{namespace=\"", EscapeLabel(key.first), "\",state=\"",
                    key.second, "\"} ", count, "\n");
  }
  absl::StrAppend(&text,
                  "# HELP berth_event_sequence The number of the last event.\n"
                  "# TYPE berth_event_sequence counter\nberth_event_sequence ",
                  exchange.last().sequence,
                  "\n# HELP berth_database_unsynced_commits Commits that a power cut could undo.\n"
                  "# TYPE berth_database_unsynced_commits gauge\nberth_database_unsynced_commits ",
                  storage.database().UnsyncedCommits(), "\n");
  return text;
}

}  // namespace berth
