#include "server/task/shim_supervisor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/journal/journal.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/status/status_macros.h"
#include "google/protobuf/empty.pb.h"
#include "nlohmann/json.hpp"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/shim_log_pipe.h"

namespace berth {
namespace {

constexpr size_t kWorthThreads = 64;  // bundles
constexpr size_t kMostLookers = 4;

}  // namespace

absl::StatusOr<ShimAddress> ParseShimAddress(absl::string_view text) {
  ShimAddress address;
  std::string url(absl::StripAsciiWhitespace(text));
  if (absl::StartsWith(url, "{")) {
    const nlohmann::json json = nlohmann::json::parse(url, nullptr, false);
    if (!json.is_object() || !json.contains("address") || !json["address"].is_string()) {
      return absl::InvalidArgumentError("the shim's address is JSON without an \"address\"");
    }
    const auto protocol = json.find("protocol");
    if (protocol != json.end() && *protocol != "ttrpc") {
      return absl::UnimplementedError("shims that speak gRPC instead of ttrpc are not supported");
    }
    const auto version = json.find("version");
    if (version != json.end() && *version == 3) address.api = ShimApi::kV3;
    url = json["address"].get<std::string>();
  }
  address.socket_path = std::string(absl::StripPrefix(url, "unix://"));
  if (!absl::StartsWith(address.socket_path, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("\"", url, "\" is no address of a unix socket"));
  }
  return address;
}

ShimSupervisor::ShimSupervisor(Loop& loop, Executor& executor, TaskTable& tasks,
                               const BundleStore& bundles, const ShimLauncher& launcher,
                               EventSink& events, const Logger& log, Options options)
    : loop_(loop),
      executor_(executor),
      tasks_(tasks),
      bundles_(bundles),
      launcher_(launcher),
      log_(log),
      options_(options),
      commands_(loop, executor, CommandRunner::Limits()),
      reconciler_(loop, executor, bundles, launcher, commands_, events, log, options.reconciler) {}

void ShimSupervisor::OpenLog(const TaskPtr& task) {
  auto pipe = ShimLogPipe::Open(loop_, task->bundle(),
                                absl::StrCat(task->key().ns, "/", task->key().id), log_);
  if (pipe.ok()) return task->set_log_pipe(*std::move(pipe));
  log_.Warning(
      "ignoring the log of a foreign shim",
      {{"namespace", task->key().ns}, {"container", task->key().id}, {"error", pipe.status()}});
}

absl::Status ShimSupervisor::Attach(const TaskPtr& task, Task::Shim shim) {
  // Weak: the task owns this callback.
  return task->Attach(std::move(shim),
                      [this, weak = std::weak_ptr<Task>(task)](const std::string& how) {
                        if (const TaskPtr task = weak.lock()) OnShimGone(task, how);
                      });
}

void ShimSupervisor::OnShimGone(const TaskPtr& task, const std::string& how) {
  if (stopping_) return;
  switch (task->stage()) {
    case TaskStage::kCreating:  // its Create call fails, and whoever made it goes on from there
    case TaskStage::kLost:
      return;
    case TaskStage::kDeleting: {
      // A shim that was told to end, and did, has sent all its events before.
      const bool in_order = !task->shim_killed() && !absl::StartsWith(how, "signal");
      return Clean(task, in_order ? Announcer::kShim : Announcer::kUs);
    }
    case TaskStage::kReady:
      log_.Warning("a shim ended unexpectedly; removing what it left",
                   {{"namespace", task->key().ns}, {"container", task->key().id}, {"how", how}});
      task->set_stage(TaskStage::kLost);
      return Clean(task);
  }
}

void ShimSupervisor::Finish(const TaskPtr& task, Ending ending, absl::AnyInvocable<void()> done) {
  WhenRemoved(task, std::move(done));
  task->set_stage(TaskStage::kDeleting);
  const bool runs = task->has_shim() && (task->process() == nullptr || !task->process()->ended());
  if (!runs) return Clean(task);
  if (ending == Ending::kKill && task->process() != nullptr) return task->KillShim();
  containerd::task::v2::ShutdownRequest request;
  request.set_id(task->key().id);
  request.set_now(true);
  task->CallShim<google::protobuf::Empty>(
      "Shutdown", request, options_.shutdown_timeout,
      [this, task](const absl::StatusOr<google::protobuf::Empty>& answer) {
        // Where no pidfd tells of the end, the connection's does; one that stays open will not.
        if (task->process() == nullptr && task->stage() == TaskStage::kDeleting &&
            absl::IsDeadlineExceeded(answer.status())) {
          Clean(task);
        }
      });
  loop_.After(options_.shutdown_timeout, [weak = std::weak_ptr<Task>(task)] {
    if (const TaskPtr task = weak.lock()) task->KillShim();
  });
}

void ShimSupervisor::WhenRemoved(const TaskPtr& task, absl::AnyInvocable<void()> callback) {
  when_removed_[task.get()].push_back(std::move(callback));
}

void ShimSupervisor::Clean(const TaskPtr& task, Announcer announcer) {
  if (!cleaning_.insert(task.get()).second) return;  // a slow shim and its lost connection both ask
  Reconciler::Bundle bundle;
  bundle.key = task->key();
  bundle.path = task->bundle();
  bundle.socket_path =
      task->foreign_binary().empty() ? launcher_.SocketPath(task->key()) : std::string();
  bundle.foreign_binary = task->foreign_binary();
  bundle.foreign_task_existed = task->stage() == TaskStage::kLost;
  bundle.announcer = announcer;
  reconciler_.Clean(std::move(bundle),
                    {.on_end = [task](const TaskEnd& end) { task->OnEnd(end); },
                     .on_removed =
                         [this, task] {
                           tasks_.Erase(task->key());
                           cleaning_.erase(task.get());
                           auto callbacks = when_removed_.extract(task.get());
                           task->Release(absl::NotFoundError(absl::StrCat(
                               "task \"", task->key().id, "\" not found: it was removed")));
                           if (callbacks.empty()) return;
                           for (auto& callback : callbacks.mapped()) callback();
                         }});
}

struct ShimSupervisor::Found {
  absl::StatusOr<journal::State> journal = absl::UnknownError("not looked for");
  absl::StatusOr<UniqueFd> pidfd = absl::NotFoundError("another boot");  // of the journal's shim
  std::string foreign_binary;                                            // without a journal
};

absl::Status ShimSupervisor::Adopt() {
  BERTH_ASSIGN_OR_RETURN(const std::vector<TaskKey> keys, bundles_.List(),
                         _ << "find the tasks of an earlier daemon");
  // A thousand bundles take a processor some fifty milliseconds to look at.
  std::vector<Found> found(keys.size());
  std::atomic<size_t> next{0};
  const auto look = [&] {
    for (size_t i = next++; i < keys.size(); i = next++) found[i] = Look(keys[i]);
  };
  std::vector<std::thread> helpers;
  if (keys.size() >= kWorthThreads) {
    const size_t processors = std::max(1u, std::thread::hardware_concurrency());
    while (helpers.size() + 1 < std::min<size_t>(processors, kMostLookers))
      helpers.emplace_back(look);
  }
  look();
  for (std::thread& helper : helpers) helper.join();
  for (size_t i = 0; i < keys.size(); ++i) AdoptOne(keys[i], std::move(found[i]));
  return absl::OkStatus();
}

// Thread-safe.
ShimSupervisor::Found ShimSupervisor::Look(const TaskKey& key) const {
  Found found;
  found.journal = journal::ReadJournalHead(bundles_.PathOf(key));
  if (!found.journal.ok()) {
    found.foreign_binary = bundles_.ShimBinaryOf(key).value_or("");
  } else if (found.journal->this_boot) {
    found.pidfd = OpenPidFd(found.journal->header.shim);
  }
  return found;
}

void ShimSupervisor::AdoptOne(const TaskKey& key, Found found) {
  const auto task = std::make_shared<Task>(loop_, key, bundles_.PathOf(key));
  tasks_.Insert(task);
  if (!found.foreign_binary.empty()) {
    task->set_foreign_binary(found.foreign_binary);
    OpenLog(task);
    return AdoptByConnection(task, ForeignSocket(task));
  }
  const std::string socket_path = launcher_.SocketPath(key);
  const absl::StatusOr<journal::State>& journal = found.journal;
  if (!journal.ok()) {
    // No journal: the shim was about to be started, or is about to write it. A damaged one: the
    // shim may well live. Whoever answers on the socket decides.
    if (absl::IsNotFound(journal.status())) task->set_stage(TaskStage::kDeleting);
    return AdoptByConnection(task, socket_path);
  }
  if (!found.pidfd.ok()) {
    // A delete may have been answered before the shim's end: then the task is gone for everybody.
    const bool deleted = journal->init.stage == journal::Stage::kDeleted;
    task->set_stage(deleted ? TaskStage::kDeleting : TaskStage::kLost);
    return Clean(task);
  }
  Task::Shim shim;
  shim.pid = journal->header.shim.pid;
  shim.pidfd = *std::move(found.pidfd);
  shim.socket_path = socket_path;
  if (const absl::Status attached = Attach(task, std::move(shim)); !attached.ok()) {
    log_.Error("ignoring a shim that cannot be watched",
               {{"namespace", key.ns}, {"container", key.id}, {"error", attached}});
    return;
  }
  const journal::Stage stage = journal->init.stage;
  if (stage == journal::Stage::kDeleted) return Finish(task, Ending::kShutdown, [] {});
  // Whoever asked for the container lost the connection and never learnt of it.
  if (stage < journal::Stage::kCreated) return Finish(task, Ending::kKill, [] {});
  if (journal->resources.stdio.has_value()) {
    task->set_known_stdio(
        {.stdio = *journal->resources.stdio, .generation = journal->init.generation});
  }
  task->set_stage(TaskStage::kReady);
}

// Requires: the stage is kDeleting for a task that cannot have a container.
void ShimSupervisor::AdoptByConnection(const TaskPtr& task, const std::string& socket_path) {
  const bool unwanted = task->stage() == TaskStage::kDeleting;
  absl::StatusOr<UniqueFd> connection = ConnectUnix(socket_path, SOCK_NONBLOCK);
  if (!connection.ok()) {
    task->set_stage(unwanted ? TaskStage::kDeleting : TaskStage::kLost);
    return Clean(task);
  }
  Task::Shim shim;
  shim.socket_path = socket_path;
  shim.connection = *std::move(connection);
  if (const absl::Status attached = Attach(task, std::move(shim)); !attached.ok()) {
    task->set_stage(TaskStage::kLost);
    return Clean(task);
  }
  if (unwanted) return Finish(task, Ending::kShutdown, [] {});
  task->set_stage(TaskStage::kReady);
  containerd::task::v2::ConnectRequest request;
  request.set_id(task->key().id);
  task->CallShim<containerd::task::v2::ConnectResponse>(
      "Connect", request, options_.connect_timeout,
      [this, task](const absl::StatusOr<containerd::task::v2::ConnectResponse>& answer) {
        if (!answer.ok()) OnShimGone(task, std::string(answer.status().message()));
      });
}

std::string ShimSupervisor::ForeignSocket(const TaskPtr& task) const {
  for (const char* file : {"bootstrap.json", "address"}) {
    const auto text = ReadFile(absl::StrCat(task->bundle(), "/", file), 4096);
    if (!text.ok()) continue;
    if (const auto address = ParseShimAddress(*text); address.ok()) return address->socket_path;
  }
  return absl::StrCat(task->bundle(), "/address");  // nobody listens there
}

void ShimSupervisor::Stop() { stopping_ = true; }

}  // namespace berth
