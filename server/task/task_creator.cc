#include "server/task/task_creator.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "google/protobuf/empty.pb.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/restart_labels.h"

namespace berth {
namespace {

constexpr size_t kLogTailBytes = 1024;
constexpr char kSnapshotUserMap[] = "containerd.io/snapshot/uidmapping";
constexpr char kSnapshotGroupMap[] = "containerd.io/snapshot/gidmapping";

// The options that the shim gets: the call's, else the record's.
const google::protobuf::Any& ChooseOptions(
    const TaskCreator::Request& request,
    const containerd::services::containers::v1::Container& container) {
  return request.has_options() && !request.options().type_url().empty()
             ? request.options()
             : container.runtime().options();
}

// Whether a checkpoint is to be restored, in either of the two ways to ask for it.
bool AsksForRestore(const TaskCreator::Request& request) {
  if (request.has_checkpoint()) return true;
  const std::string& url = request.options().type_url();
  containerd::runc::v1::Options options;
  return url.substr(url.rfind('/') + 1) == options.GetTypeName() &&
         options.ParseFromString(request.options().value()) && !options.criu_image_path().empty();
}

// The maps of ids that a container's snapshot is for, as options that shims know.
std::vector<std::string> MapsOf(const containerd::services::containers::v1::Container& container) {
  const auto users = container.labels().find(kSnapshotUserMap);
  const auto groups = container.labels().find(kSnapshotGroupMap);
  if (users == container.labels().end() || groups == container.labels().end()) return {};
  return {absl::StrCat("uidmap=", users->second), absl::StrCat("gidmap=", groups->second)};
}

// The layers below the container's own are mapped; its own files have the namespace's owners.
void AddMaps(const std::vector<std::string>& maps, TaskCreator::Request& request) {
  if (maps.empty()) return;
  for (auto& mount : *request.mutable_rootfs()) {
    const bool reads_only = absl::c_linear_search(mount.options(), "ro");
    if (mount.type() != "overlay" && !(mount.type() == "bind" && reads_only)) continue;
    for (const std::string& map : maps) mount.add_options(map);
  }
}

// The last words of a shim that ended, for the error.
std::string LastWords(const std::string& bundle) {
  const auto log = ReadFile(absl::StrCat(bundle, "/shim.log"), 1u << 20);
  if (!log.ok() || log->empty()) return "";
  const size_t from = log->size() > kLogTailBytes ? log->size() - kLogTailBytes : 0;
  return absl::StrCat("; it said: ", log->substr(from));
}

}  // namespace

// What the executor has made ready.
struct TaskCreator::Prepared {
  LaunchedShim shim;           // of our own kind
  std::string foreign_binary;  // or this one is to be started
  google::protobuf::Any options;
  std::optional<shim::v1::SetPolicyRequest> policy;  // by the container's labels
  std::vector<std::string> maps;                     // options for the root's mounts
};

struct TaskCreator::Job {
  Job(LifeTrace& trace, const TaskKey& key) : clock(trace, key, "Tasks.Create") {}

  StepClock clock;
  std::shared_ptr<Task> task;
  Request request;
  google::protobuf::Any options;
  std::optional<shim::v1::SetPolicyRequest> policy;
  absl::Time deadline;
  OperationQueue::Turn turn;  // calls that come meanwhile wait
  Done done;
};

TaskCreator::TaskCreator(Loop& loop, Executor& executor, TaskTable& tasks,
                         const BundleStore& bundles, const ShimLauncher& launcher,
                         ShimSupervisor& supervisor, FindContainer find, LifeTrace& trace,
                         Options options)
    : loop_(loop),
      executor_(executor),
      tasks_(tasks),
      bundles_(bundles),
      launcher_(launcher),
      supervisor_(supervisor),
      find_(std::move(find)),
      trace_(trace),
      options_(std::move(options)) {}

void TaskCreator::Create(const TaskKey& key, Request request, absl::Time deadline, Done done) {
  if (stopping_) return done(absl::UnavailableError("the daemon is stopping"));
  if (AsksForRestore(request)) {
    return done(absl::UnimplementedError("creating a task from a checkpoint is not supported"));
  }
  if (const auto existing = tasks_.Find(key); existing != nullptr) {
    // A create that its client has given up is being undone, and its repetition waits for that.
    const bool leaving = existing->stage() == TaskStage::kDeleting ||
                         existing->stage() == TaskStage::kLost || existing->create_cancelled();
    const absl::Duration patience = std::min(options_.removal_timeout, deadline - absl::Now());
    if (!leaving || patience <= absl::ZeroDuration()) {
      return done(absl::AlreadyExistsError(
          absl::StrCat("task \"", key.id, "\" already exists",
                       leaving ? " (what is left of it is still being removed)" : "")));
    }
    // Whichever comes first takes the request along.
    struct Waiting {
      Request request;
      Done done;
    };
    auto waiting = std::make_shared<std::unique_ptr<Waiting>>(
        new Waiting{std::move(request), std::move(done)});
    supervisor_.WhenRemoved(existing, [this, waiting, key, deadline] {
      if (auto taken = std::move(*waiting)) {
        Create(key, std::move(taken->request), deadline, std::move(taken->done));
      }
    });
    loop_.After(patience, [waiting, key] {
      if (auto taken = std::move(*waiting)) {
        taken->done(absl::AlreadyExistsError(absl::StrCat(
            "task \"", key.id, "\" already exists: what is left of it is still being removed")));
      }
    });
    return;
  }
  trace_.Begin(key);
  auto job = std::make_shared<Job>(trace_, key);
  job->task = std::make_shared<Task>(loop_, key, bundles_.PathOf(key));
  job->request = std::move(request);
  job->deadline = std::min(deadline, absl::Now() + options_.create_timeout);
  job->done = std::move(done);
  tasks_.Insert(job->task);
  // The queue of a new task is empty: the turn comes at once, in the loop's next round.
  job->task->queue()
      .Push([job](absl::StatusOr<OperationQueue::Turn> turn) {
        if (turn.ok()) job->turn = *std::move(turn);
      })
      .IgnoreError();
  const bool posted = executor_.Post([this, loop = &loop_, job]() mutable {
    job->clock.Ended("wait for a thread");
    auto prepared = Prepare(job->task->key(), job->request, job->clock);
    // Moved: the last reference to a task must go on the loop.
    loop->Post([this, job = std::move(job), prepared = std::move(prepared)]() mutable {
      OnPrepared(job, std::move(prepared));
    });
  });
  if (!posted) {
    tasks_.Erase(key);
    job->done(absl::ResourceExhaustedError("too many tasks are being created; try again later"));
  }
}

absl::StatusOr<TaskCreator::Prepared> TaskCreator::Prepare(const TaskKey& key,
                                                           const Request& request,
                                                           StepClock& clock) const {
  BERTH_ASSIGN_OR_RETURN(const auto container, find_(key.ns, key.id));
  clock.Ended("read the record");
  BERTH_ASSIGN_OR_RETURN(const ResolvedRuntime runtime,
                         ResolveRuntime(request.runtime_path().empty() ? container.runtime().name()
                                                                       : request.runtime_path(),
                                        options_.aliases, options_.search_path));
  Prepared prepared;
  prepared.options = ChooseOptions(request, container);
  prepared.foreign_binary = runtime.shim_binary;
  prepared.policy = PolicyOfLabels(container.labels());
  prepared.maps = MapsOf(container);
  BundleContents contents;
  contents.config_json = container.spec().value();
  contents.options = prepared.options;
  contents.shim_binary = runtime.shim_binary;
  if (contents.shim_binary.empty()) {
    contents.address = absl::StrCat("unix://", launcher_.SocketPath(key));
  }
  BERTH_RETURN_IF_ERROR(bundles_.Create(key, contents));
  clock.Ended("make the bundle");
  if (!prepared.foreign_binary.empty()) return prepared;
  absl::StatusOr<LaunchedShim> shim = launcher_.Launch(key, bundles_.PathOf(key));
  if (!shim.ok()) {
    ::unlink(launcher_.SocketPath(key).c_str());
    bundles_.Remove(key).IgnoreError();  // the first error is the one to tell
    return shim.status();
  }
  prepared.shim = *std::move(shim);
  clock.Ended("spawn the shim");
  return prepared;
}

void TaskCreator::OnPrepared(const JobPtr& job, absl::StatusOr<Prepared> prepared) {
  if (stopping_) return job->done(absl::UnavailableError("the daemon is stopping"));
  if (!prepared.ok()) {
    // Nothing was made: there is nothing to finish.
    tasks_.Erase(job->task->key());
    job->task->set_stage(TaskStage::kDeleting);
    return job->done(prepared.status());
  }
  job->options = std::move(prepared->options);
  job->policy = std::move(prepared->policy);
  AddMaps(prepared->maps, job->request);
  if (!prepared->foreign_binary.empty()) {
    job->task->set_foreign_binary(prepared->foreign_binary);
    return StartForeign(job, prepared->foreign_binary);
  }
  Task::Shim shim;
  shim.pid = prepared->shim.pid;
  shim.pidfd = std::move(prepared->shim.pidfd);
  shim.socket_path = launcher_.SocketPath(job->task->key());
  shim.connection = std::move(prepared->shim.connection);
  if (const absl::Status attached = supervisor_.Attach(job->task, std::move(shim));
      !attached.ok()) {
    return Fail(job, attached);
  }
  job->clock.Ended("take the shim over");
  CallCreate(job);
}

void TaskCreator::StartForeign(const JobPtr& job, const std::string& binary) {
  supervisor_.OpenLog(job->task);
  std::string input;
  if (!job->options.type_url().empty()) input = job->options.SerializeAsString();
  supervisor_.commands().Run(
      launcher_.StartCommand(job->task->key(), job->task->bundle(), binary), std::move(input),
      options_.start_timeout, [this, job, binary](absl::StatusOr<CommandResult> result) {
        if (stopping_) return job->done(absl::UnavailableError("the daemon is stopping"));
        absl::Status failure = result.status();
        if (result.ok() && result->exit.ExitCode() != 0) {
          failure = absl::InternalError(absl::StrCat("it ended with ", result->exit.ExitCode(),
                                                     ": ", result->output, result->errors));
        }
        Task::Shim shim;
        if (failure.ok()) {
          auto address = ParseShimAddress(result->output);
          failure = address.status();
          if (address.ok()) {
            shim.socket_path = address->socket_path;
            shim.api = address->api;
            failure = supervisor_.Attach(job->task, std::move(shim));
          }
        }
        if (!failure.ok()) return Fail(job, Annotate(failure, absl::StrCat("start ", binary)));
        job->clock.Ended("run the shim's start command");
        CallCreate(job);
      });
}

void TaskCreator::CallCreate(const JobPtr& job) {
  if (job->task->create_cancelled()) {
    return Fail(job, absl::CancelledError("the creation was cancelled"));
  }
  const Request& asked = job->request;
  containerd::task::v2::CreateTaskRequest request;
  request.set_id(job->task->key().id);
  request.set_bundle(job->task->bundle());
  *request.mutable_rootfs() = asked.rootfs();
  request.set_terminal(asked.terminal());
  request.set_stdin(asked.stdin());
  request.set_stdout(asked.stdout());
  request.set_stderr(asked.stderr());
  if (!job->options.type_url().empty()) *request.mutable_options() = job->options;
  job->task->CallShim<containerd::task::v2::CreateTaskResponse>(
      "Create", request, std::max(job->deadline - absl::Now(), absl::Milliseconds(1)),
      [this, job](absl::StatusOr<containerd::task::v2::CreateTaskResponse> response) {
        OnCreated(job, response.ok() ? absl::StatusOr<uint32_t>(response->pid())
                                     : absl::StatusOr<uint32_t>(response.status()));
      });
}

void TaskCreator::OnCreated(const JobPtr& job, absl::StatusOr<uint32_t> pid) {
  if (stopping_) return job->done(absl::UnavailableError("the daemon is stopping"));
  if (job->task->create_cancelled()) {
    return Fail(job, absl::CancelledError("the creation was cancelled"));
  }
  if (!pid.ok()) return Fail(job, pid.status());
  job->clock.Ended("shim: Create");
  if (!job->policy.has_value() || !job->task->foreign_binary().empty()) return Succeed(job, *pid);
  job->policy->set_id(job->task->key().id);
  job->task->CallSupervisor<shim::v1::SetPolicyResponse>(
      "SetPolicy", *job->policy, std::max(job->deadline - absl::Now(), absl::Milliseconds(1)),
      [this, job, pid = *pid](const absl::StatusOr<shim::v1::SetPolicyResponse>& set) {
        if (stopping_) return job->done(absl::UnavailableError("the daemon is stopping"));
        if (!set.ok()) return Fail(job, Annotate(set.status(), "the restart policy"));
        job->clock.Ended("shim: SetPolicy");
        Succeed(job, pid);
      });
}

void TaskCreator::Succeed(const JobPtr& job, uint32_t pid) {
  if (job->task->foreign_binary().empty()) {
    job->task->set_known_stdio({.stdio = {.in = job->request.stdin(),
                                          .out = job->request.stdout(),
                                          .err = job->request.stderr(),
                                          .terminal = job->request.terminal()}});
  }
  job->task->set_stage(TaskStage::kReady);
  job->turn = OperationQueue::Turn();
  Response response;
  response.set_container_id(job->task->key().id);
  response.set_pid(pid);
  job->done(std::move(response));
}

void TaskCreator::Fail(const JobPtr& job, absl::Status error) {
  // A shim that answered has undone its work and goes when told; any other is not waited for, and
  // its `delete` command undoes the rest.
  const bool answered = !absl::IsDeadlineExceeded(error) && !absl::IsUnavailable(error) &&
                        !job->task->create_cancelled();
  if (absl::IsUnavailable(error)) {
    error =
        absl::Status(error.code(), absl::StrCat(error.message(), LastWords(job->task->bundle())));
  }
  supervisor_.Finish(job->task,
                     answered ? ShimSupervisor::Ending::kShutdown : ShimSupervisor::Ending::kKill,
                     [job, error = std::move(error)] {
                       job->turn = OperationQueue::Turn();
                       job->done(error);
                     });
}

void TaskCreator::Cancel(const std::shared_ptr<Task>& task) {
  if (task->stage() != TaskStage::kCreating || task->create_cancelled()) return;
  task->CancelCreate();
  if (!task->has_shim()) return;  // CallCreate sees it
  // The shim undoes what it has done, which is kinder than what its `delete` command can do later.
  containerd::task::v2::KillRequest request;
  request.set_id(task->key().id);
  request.set_signal(SIGKILL);
  task->CallShim<google::protobuf::Empty>("Kill", request, options_.cancel_grace,
                                          [](const absl::StatusOr<google::protobuf::Empty>&) {});
  loop_.After(options_.cancel_grace, [weak = std::weak_ptr<Task>(task)] {
    const auto task = weak.lock();
    if (task != nullptr && task->stage() == TaskStage::kCreating) task->KillShim();
  });
}

}  // namespace berth
