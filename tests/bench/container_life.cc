#include "tests/bench/container_life.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/grpc/status_conversion.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "proto/containerd/services/containers/v1/containers.grpc.pb.h"
#include "proto/containerd/services/namespaces/v1/namespaces.grpc.pb.h"
#include "proto/containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.grpc.pb.h"
#include "proto/containerd/services/version/v1/version.grpc.pb.h"
#include "tests/bench/container_spec.h"

namespace berth::bench {
namespace {

namespace containers = containerd::services::containers::v1;
namespace namespaces = containerd::services::namespaces::v1;
namespace snapshots = containerd::services::snapshots::v1;
namespace tasks = containerd::services::tasks::v1;

constexpr char kNamespace[] = "bench";
constexpr char kBase[] = "bench-base";
constexpr char kRuntime[] = "io.containerd.runc.v2";
constexpr char kSpecType[] = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
constexpr absl::Duration kCallTimeout = absl::Seconds(60);

// A context with the namespace and a deadline.
struct Context {
  Context() {
    context.AddMetadata("containerd-namespace", kNamespace);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kCallTimeout));
  }
  grpc::ClientContext context;
};

// Without a lease only this label keeps a snapshot from the garbage collector.
template <typename Request>
void MakeRoot(Request& request) {
  (*request.mutable_labels())["containerd.io/gc.root"] = "2020-01-01T00:00:00Z";
}

// One blocking call: stub, method, request, response.
template <typename Stub, typename Request, typename Response>
absl::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response) {
  Context context;
  return FromGrpc((stub.*method)(&context.context, request, response));
}

}  // namespace

struct Server::Stubs {
  explicit Stubs(std::shared_ptr<grpc::Channel> channel)
      : containers(channel),
        namespaces(channel),
        snapshots(channel),
        tasks(channel),
        version(channel) {}
  containers::Containers::Stub containers;
  namespaces::Namespaces::Stub namespaces;
  snapshots::Snapshots::Stub snapshots;
  tasks::Tasks::Stub tasks;
  containerd::services::version::v1::Version::Stub version;
};

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

Server::Server(absl::string_view label, absl::string_view address, absl::string_view snapshotter)
    : label_(label),
      snapshotter_(snapshotter),
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
  for (const char* name : {"true", "sh", "sleep", "echo"}) {
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

absl::StatusOr<LifeTimes> Server::Run(absl::string_view id,
                                      const std::vector<std::string>& arguments) {
  const std::string name(id);
  google::protobuf::Empty empty;
  LifeTimes times;
  const absl::Time begin = absl::Now();
  absl::Time last = begin;
  absl::Status failure;
  // Notes the time of `step`; false when `status` ends the life.
  const auto done = [&](Step step, const absl::Status& status) {
    const absl::Time now = absl::Now();
    times.steps[static_cast<size_t>(step)] = now - last;
    last = now;
    if (!status.ok()) failure = Annotate(status, absl::StrCat(label_, ": ", StepName(step)));
    return status.ok();
  };

  snapshots::PrepareSnapshotRequest prepare;
  prepare.set_snapshotter(snapshotter_);
  prepare.set_key(name);
  prepare.set_parent(kBase);
  MakeRoot(prepare);
  snapshots::PrepareSnapshotResponse prepared;
  if (!done(Step::kPrepare,
            Call(stubs_->snapshots, &snapshots::Snapshots::Stub::Prepare, prepare, &prepared))) {
    return failure;
  }

  containers::CreateContainerRequest create;
  containers::Container* container = create.mutable_container();
  container->set_id(name);
  container->set_snapshotter(snapshotter_);
  container->set_snapshot_key(name);
  container->mutable_runtime()->set_name(kRuntime);
  container->mutable_spec()->set_type_url(kSpecType);
  container->mutable_spec()->set_value(ContainerSpec(kNamespace, id, arguments));
  containers::CreateContainerResponse created;
  if (!done(Step::kCreateContainer,
            Call(stubs_->containers, &containers::Containers::Stub::Create, create, &created))) {
    return failure;
  }

  tasks::CreateTaskRequest create_task;
  create_task.set_container_id(name);
  *create_task.mutable_rootfs() = prepared.mounts();
  tasks::CreateTaskResponse task;
  if (!done(Step::kCreateTask,
            Call(stubs_->tasks, &tasks::Tasks::Stub::Create, create_task, &task))) {
    return failure;
  }

  // The wait is under way before the start, as in every client.
  tasks::WaitRequest wait;
  wait.set_container_id(name);
  tasks::WaitResponse exit;
  Context wait_context;
  grpc::CompletionQueue queue;
  const auto waiting = stubs_->tasks.AsyncWait(&wait_context.context, wait, &queue);
  grpc::Status wait_status;
  waiting->Finish(&exit, &wait_status, &queue);
  tasks::StartRequest start;
  start.set_container_id(name);
  tasks::StartResponse started;
  const bool is_started =
      done(Step::kStart, Call(stubs_->tasks, &tasks::Tasks::Stub::Start, start, &started));
  if (!is_started) wait_context.context.TryCancel();
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!is_started) return failure;
  absl::Status exited = FromGrpc(wait_status);
  if (exited.ok() && exit.exit_status() != 0) {
    exited = absl::InternalError(absl::StrCat("exit status ", exit.exit_status()));
  }
  if (!done(Step::kExit, exited)) return failure;

  tasks::DeleteTaskRequest delete_task;
  delete_task.set_container_id(name);
  tasks::DeleteResponse deleted;
  if (!done(Step::kDeleteTask,
            Call(stubs_->tasks, &tasks::Tasks::Stub::Delete, delete_task, &deleted))) {
    return failure;
  }
  containers::DeleteContainerRequest delete_container;
  delete_container.set_id(name);
  if (!done(Step::kDeleteContainer, Call(stubs_->containers, &containers::Containers::Stub::Delete,
                                         delete_container, &empty))) {
    return failure;
  }
  snapshots::RemoveSnapshotRequest remove;
  remove.set_snapshotter(snapshotter_);
  remove.set_key(name);
  if (!done(Step::kRemove,
            Call(stubs_->snapshots, &snapshots::Snapshots::Stub::Remove, remove, &empty))) {
    return failure;
  }
  times.total = last - begin;
  return times;
}

}  // namespace berth::bench
