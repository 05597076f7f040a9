#include "tests/bench/container_life.h"

#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "tests/bench/stubs.h"

namespace berth::bench {
namespace {

namespace containers = containerd::services::containers::v1;
namespace namespaces = containerd::services::namespaces::v1;
namespace snapshots = containerd::services::snapshots::v1;
namespace tasks = containerd::services::tasks::v1;

constexpr char kBase[] = "bench-base";
constexpr char kRuntime[] = "io.containerd.runc.v2";
constexpr char kProcessType[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";
constexpr char kSpecType[] = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

// Without a lease only this label keeps a snapshot from the garbage collector.
template <typename Request>
void MakeRoot(Request& request) {
  (*request.mutable_labels())["containerd.io/gc.root"] = "2020-01-01T00:00:00Z";
}

// A Tasks.Wait that is under way.
class PendingWait {
 public:
  PendingWait(Stubs& stubs, const tasks::WaitRequest& request)
      : reader_(stubs.tasks.AsyncWait(&context_.context, request, &queue_)) {
    reader_->Finish(&response_, &status_, &queue_);
  }
  // Blocks until the process ended; an error unless with `expected`.
  absl::Status Get(uint32_t expected = 0) {
    Finish();
    BERTH_RETURN_IF_ERROR(FromGrpc(status_));
    if (response_.exit_status() == expected) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("exit status ", response_.exit_status()));
  }
  void Cancel() {
    context_.context.TryCancel();
    Finish();
  }

 private:
  void Finish() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
  }

  Context context_;
  grpc::CompletionQueue queue_;
  tasks::WaitResponse response_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<tasks::WaitResponse>> reader_;
};

}  // namespace

absl::string_view StepName(Step step) {
  switch (step) {
    case Step::kPrepare:
      return "Snapshots.Prepare";
    case Step::kCreateContainer:
      return "Containers.Create";
    case Step::kCreateTask:
      return "Tasks.Create";
    case Step::kStart:
      return "Tasks.Start";
    case Step::kExit:
      return "exit (Tasks.Wait)";
    case Step::kDeleteTask:
      return "Tasks.Delete";
    case Step::kDeleteContainer:
      return "Containers.Delete";
    case Step::kRemove:
      return "Snapshots.Remove";
  }
  return "?";
}

Server::Server(absl::string_view label, absl::string_view address, absl::string_view snapshotter,
               absl::string_view group)
    : label_(label),
      address_(address),
      snapshotter_(snapshotter),
      group_(group),
      stubs_(std::make_unique<Stubs>(grpc::CreateChannel(absl::StrCat("unix://", address),
                                                         grpc::InsecureChannelCredentials()))) {}

Server::~Server() = default;

absl::StatusOr<std::string> Server::Version() {
  Context context;
  context.context.set_wait_for_ready(true);
  containerd::services::version::v1::VersionResponse response;
  BERTH_RETURN_IF_ERROR(FromGrpc(stubs_->version.Version(&context.context, {}, &response)))
      << label_ << ": Version";
  return absl::StrCat(label_, " ", response.version());
}

absl::Status Server::SetUp(absl::string_view busybox) {
  namespaces::CreateNamespaceRequest create_namespace;
  create_namespace.mutable_namespace_()->set_name(kNamespace);
  namespaces::CreateNamespaceResponse created_namespace;
  BERTH_RETURN_IF_ERROR(Call(stubs_->namespaces, &namespaces::Namespaces::Stub::Create,
                             create_namespace, &created_namespace))
      << label_ << ": Namespaces.Create";
  snapshots::PrepareSnapshotRequest prepare;
  prepare.set_snapshotter(snapshotter_);
  prepare.set_key("bench-unpack");
  MakeRoot(prepare);
  snapshots::PrepareSnapshotResponse prepared;
  BERTH_RETURN_IF_ERROR(
      Call(stubs_->snapshots, &snapshots::Snapshots::Stub::Prepare, prepare, &prepared))
      << label_ << ": Snapshots.Prepare";
  // A snapshot without a parent is one directory, bound to where it is wanted.
  if (prepared.mounts_size() != 1 || prepared.mounts(0).type() != "bind") {
    return absl::InternalError(absl::StrCat(label_, ": a first snapshot that is no bind mount"));
  }
  const std::filesystem::path root = prepared.mounts(0).source();
  std::error_code error;
  std::filesystem::create_directories(root / "bin", error);
  for (const char* directory : {"proc", "sys", "dev", "run", "tmp", "etc"}) {
    std::filesystem::create_directory(root / directory, error);
  }
  std::filesystem::copy_file(std::string(busybox), root / "bin/busybox", error);
  if (error) return absl::InternalError(absl::StrCat("copy busybox: ", error.message()));
  for (const char* name : {"true", "sh", "sleep", "dd"}) {
    std::filesystem::create_symlink("busybox", root / "bin" / name, error);
  }
  snapshots::CommitSnapshotRequest commit;
  commit.set_snapshotter(snapshotter_);
  commit.set_key("bench-unpack");
  commit.set_name(kBase);
  MakeRoot(commit);
  google::protobuf::Empty empty;
  BERTH_RETURN_IF_ERROR(
      Call(stubs_->snapshots, &snapshots::Snapshots::Stub::Commit, commit, &empty))
      << label_ << ": Snapshots.Commit";
  return absl::OkStatus();
}

absl::Status Server::TearDown() {
  google::protobuf::Empty empty;
  snapshots::RemoveSnapshotRequest remove;
  remove.set_snapshotter(snapshotter_);
  remove.set_key(kBase);
  BERTH_RETURN_IF_ERROR(
      Call(stubs_->snapshots, &snapshots::Snapshots::Stub::Remove, remove, &empty))
      << label_ << ": Snapshots.Remove";
  namespaces::DeleteNamespaceRequest delete_namespace;
  delete_namespace.set_name(kNamespace);
  BERTH_RETURN_IF_ERROR(
      Call(stubs_->namespaces, &namespaces::Namespaces::Stub::Delete, delete_namespace, &empty))
      << label_ << ": Namespaces.Delete";
  return absl::OkStatus();
}

// One life's calls in order, each timed.
class Server::Life {
 public:
  Life(Server& server, absl::string_view id)
      : label_(server.label_),
        snapshotter_(server.snapshotter_),
        group_(server.group_),
        stubs_(*server.stubs_),
        id_(id) {}

  absl::Status Create(const ContainerOptions& options);
  // Starts it and, with kToTheEnd, waits for an exit with status 0: its process.
  enum class Follow { kToTheEnd, kStarted };
  absl::StatusOr<pid_t> Start(Follow follow);
  absl::Status Remove();
  LifeTimes Times();

 private:
  absl::Status Done(Step step, const absl::Status& status);

  const std::string& label_;
  const std::string& snapshotter_;
  const std::string& group_;
  Stubs& stubs_;
  const std::string id_;
  const absl::Time begin_ = absl::Now();
  absl::Time last_ = begin_;
  LifeTimes times_;
};

// Notes the time of `step`, and names it in what went wrong.
absl::Status Server::Life::Done(Step step, const absl::Status& status) {
  const absl::Time now = absl::Now();
  times_.steps[static_cast<size_t>(step)] = now - last_;
  last_ = now;
  return Annotate(status, absl::StrCat(label_, ": ", StepName(step)));
}

absl::Status Server::Life::Create(const ContainerOptions& options) {
  snapshots::PrepareSnapshotRequest prepare;
  prepare.set_snapshotter(snapshotter_);
  prepare.set_key(id_);
  prepare.set_parent(kBase);
  MakeRoot(prepare);
  snapshots::PrepareSnapshotResponse prepared;
  BERTH_RETURN_IF_ERROR(
      Done(Step::kPrepare,
           Call(stubs_.snapshots, &snapshots::Snapshots::Stub::Prepare, prepare, &prepared)));

  containers::CreateContainerRequest create;
  containers::Container* container = create.mutable_container();
  container->set_id(id_);
  container->set_snapshotter(snapshotter_);
  container->set_snapshot_key(id_);
  container->mutable_runtime()->set_name(kRuntime);
  container->mutable_spec()->set_type_url(kSpecType);
  container->mutable_spec()->set_value(ContainerSpec(group_, id_, options));
  containers::CreateContainerResponse created;
  BERTH_RETURN_IF_ERROR(
      Done(Step::kCreateContainer,
           Call(stubs_.containers, &containers::Containers::Stub::Create, create, &created)));

  tasks::CreateTaskRequest create_task;
  create_task.set_container_id(id_);
  *create_task.mutable_rootfs() = prepared.mounts();
  create_task.set_stdout(options.standard_output);
  create_task.set_stderr(options.standard_error);
  tasks::CreateTaskResponse task;
  return Done(Step::kCreateTask,
              Call(stubs_.tasks, &tasks::Tasks::Stub::Create, create_task, &task));
}

absl::StatusOr<pid_t> Server::Life::Start(Follow follow) {
  // The wait is under way before the start, as in every client.
  tasks::WaitRequest wait;
  wait.set_container_id(id_);
  PendingWait exit(stubs_, wait);
  tasks::StartRequest start;
  start.set_container_id(id_);
  tasks::StartResponse started;
  const absl::Status status =
      Done(Step::kStart, Call(stubs_.tasks, &tasks::Tasks::Stub::Start, start, &started));
  const pid_t pid = static_cast<pid_t>(started.pid());
  if (!status.ok() || follow == Follow::kStarted) {
    exit.Cancel();
    if (!status.ok()) return status;
    return pid;
  }
  BERTH_RETURN_IF_ERROR(Done(Step::kExit, exit.Get()));
  return pid;
}

absl::Status Server::Life::Remove() {
  google::protobuf::Empty empty;
  tasks::DeleteTaskRequest delete_task;
  delete_task.set_container_id(id_);
  tasks::DeleteResponse deleted;
  BERTH_RETURN_IF_ERROR(Done(
      Step::kDeleteTask, Call(stubs_.tasks, &tasks::Tasks::Stub::Delete, delete_task, &deleted)));
  containers::DeleteContainerRequest delete_container;
  delete_container.set_id(id_);
  BERTH_RETURN_IF_ERROR(Done(
      Step::kDeleteContainer,
      Call(stubs_.containers, &containers::Containers::Stub::Delete, delete_container, &empty)));
  snapshots::RemoveSnapshotRequest remove;
  remove.set_snapshotter(snapshotter_);
  remove.set_key(id_);
  return Done(Step::kRemove,
              Call(stubs_.snapshots, &snapshots::Snapshots::Stub::Remove, remove, &empty));
}

LifeTimes Server::Life::Times() {
  times_.total = last_ - begin_;
  return times_;
}

absl::StatusOr<LifeTimes> Server::Run(absl::string_view id, const ContainerOptions& options) {
  Life life(*this, id);
  BERTH_RETURN_IF_ERROR(life.Create(options));
  BERTH_RETURN_IF_ERROR(life.Start(Life::Follow::kToTheEnd).status());
  BERTH_RETURN_IF_ERROR(life.Remove());
  return life.Times();
}

absl::StatusOr<pid_t> Server::StartContainer(absl::string_view id,
                                             const ContainerOptions& options) {
  Life life(*this, id);
  BERTH_RETURN_IF_ERROR(life.Create(options));
  return life.Start(Life::Follow::kStarted);
}

absl::Status Server::StopContainer(absl::string_view id) {
  tasks::WaitRequest wait;
  wait.set_container_id(std::string(id));
  PendingWait exit(*stubs_, wait);
  tasks::KillRequest kill;
  kill.set_container_id(std::string(id));
  kill.set_signal(SIGKILL);
  google::protobuf::Empty empty;
  BERTH_RETURN_IF_ERROR(Call(stubs_->tasks, &tasks::Tasks::Stub::Kill, kill, &empty))
      << label_ << ": Tasks.Kill";
  BERTH_RETURN_IF_ERROR(exit.Get(128 + SIGKILL)) << label_ << ": Tasks.Wait";
  return Life(*this, id).Remove();
}

absl::StatusOr<absl::Duration> Server::Exec(absl::string_view container, absl::string_view exec_id,
                                            const std::vector<std::string>& arguments) {
  const absl::Time begin = absl::Now();
  tasks::ExecProcessRequest exec;
  exec.set_container_id(std::string(container));
  exec.set_exec_id(std::string(exec_id));
  exec.mutable_spec()->set_type_url(kProcessType);
  exec.mutable_spec()->set_value(ProcessSpec(arguments));
  google::protobuf::Empty empty;
  BERTH_RETURN_IF_ERROR(Call(stubs_->tasks, &tasks::Tasks::Stub::Exec, exec, &empty))
      << label_ << ": Tasks.Exec";
  tasks::WaitRequest wait;
  wait.set_container_id(std::string(container));
  wait.set_exec_id(std::string(exec_id));
  PendingWait exit(*stubs_, wait);
  tasks::StartRequest start;
  start.set_container_id(std::string(container));
  start.set_exec_id(std::string(exec_id));
  tasks::StartResponse started;
  const absl::Status status = Call(stubs_->tasks, &tasks::Tasks::Stub::Start, start, &started);
  if (!status.ok()) {
    exit.Cancel();
    return Annotate(status, absl::StrCat(label_, ": Tasks.Start of an exec"));
  }
  BERTH_RETURN_IF_ERROR(exit.Get()) << label_ << ": Tasks.Wait for an exec";
  tasks::DeleteProcessRequest remove;
  remove.set_container_id(std::string(container));
  remove.set_exec_id(std::string(exec_id));
  tasks::DeleteResponse deleted;
  BERTH_RETURN_IF_ERROR(Call(stubs_->tasks, &tasks::Tasks::Stub::DeleteProcess, remove, &deleted))
      << label_ << ": Tasks.DeleteProcess";
  return absl::Now() - begin;
}

}  // namespace berth::bench
