// create, run, start: the commands that bring a container to life.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/start_socket.h"
#include "shim/oci/commands.h"
#include "shim/oci/console.h"
#include "shim/oci/foreground.h"

namespace berth::oci {
namespace {

absl::StatusOr<std::string> BundlePath(const CommandContext& context) {
  char path[PATH_MAX];
  const std::string wanted = context.options.Get("bundle", ".");
  if (::realpath(wanted.c_str(), path) == nullptr) return ErrnoStatus(errno, "find bundle", wanted);
  return std::string(path);
}

absl::StatusOr<launch::CreateOptions> ToCreateOptions(CommandContext& context,
                                                      const std::string& id,
                                                      const std::string& bundle) {
  launch::CreateOptions options;
  options.id = id;
  options.bundle = bundle;
  options.authority = context.authority;
  options.cgroup_driver = context.cgroup_driver;
  options.cgroup_denied = context.cgroup_denied;
  options.seccomp_cache_directory = context.store.SeccompCache();
  if (context.options.Has("no-pivot")) options.root_switch = launch::RootSwitch::kMoveMount;
  if (context.options.Has("no-new-keyring")) options.keyring = launch::Keyring::kInherit;
  BERTH_ASSIGN_OR_RETURN(options.stdio, InheritedStdio());
  options.preserved_fds = std::move(context.preserved_fds);
  if (const int listening = ListenDescriptors(); listening > 0) {
    // The container's program is the one that is to listen now, and is the first of its pids.
    options.environment = {absl::StrCat("LISTEN_FDS=", listening), "LISTEN_PID=1"};
    const char* names = ::getenv("LISTEN_FDNAMES");
    if (names != nullptr) options.environment.push_back(absl::StrCat("LISTEN_FDNAMES=", names));
  }
  return options;
}

struct Created {
  std::unique_ptr<launch::Container> container;
  ContainerRecord record;
};

ContainerRecord RecordOf(const launch::Container& container, const std::string& id,
                         const std::string& bundle) {
  ContainerRecord record;
  record.id = id;
  record.bundle = bundle;
  record.created = absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", absl::Now(), absl::UTCTimeZone());
  record.init_pid = container.init_pid();
  record.init_start_time_ticks = container.init_start_time_ticks();
  record.cgroup_paths = container.cgroup_paths();
  record.oci_version = container.oci_version();
  record.annotations_json = container.annotations_json();
  record.rootfs = container.root_path();
  return record;
}

// Whoever leaves the container alone must hand its terminal to somebody.
absl::Status DeliverConsole(const CommandContext& context, launch::Container& container,
                            bool detached) {
  const bool has_socket = context.options.Has("console-socket");
  if (has_socket && (!detached || !container.terminal())) {
    return absl::InvalidArgumentError(
        "cannot use console socket if runc will not detach or allocate tty");
  }
  if (!detached || !container.terminal()) return absl::OkStatus();
  if (!has_socket) {
    return absl::InvalidArgumentError(
        "cannot allocate tty if runc will detach without setting console socket");
  }
  return SendConsole(context.options.Get("console-socket"), container.TakeConsole());
}

enum class StartedBy { kThisProcess, kAnother };

absl::StatusOr<Created> Create(CommandContext& context, Loop& loop, StartedBy starter) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  BERTH_ASSIGN_OR_RETURN(const std::string bundle, BundlePath(context));
  BERTH_RETURN_IF_ERROR(context.store.Reserve(id, bundle));
  auto forget = absl::MakeCleanup([&] { context.store.Remove(id).IgnoreError(); });
  BERTH_ASSIGN_OR_RETURN(launch::CreateOptions options, ToCreateOptions(context, id, bundle));
  if (starter == StartedBy::kAnother) {
    BERTH_ASSIGN_OR_RETURN(options.start_listener,
                           launch::ListenForStart(context.store.StartSocket(id)));
  }
  Created created;
  created.container = std::make_unique<launch::Container>(loop);
  BERTH_RETURN_IF_ERROR(AwaitStatus(loop, [&](launch::Container::Done done) {
    created.container->Create(std::move(options), std::move(done));
  }));
  context.log.Latency("create", created.container->latency());
  PrintWarnings(*created.container);
  created.record = RecordOf(*created.container, id, bundle);
  absl::Status status = context.store.Save(created.record);
  if (status.ok() && context.options.Has("pid-file")) {
    status = ReplaceFileAt(BorrowedFd(AT_FDCWD), context.options.Get("pid-file"),
                           absl::StrCat(created.record.init_pid), 0644, Durability::kUnsynced);
  }
  if (status.ok() && context.options.Has("pidfd-socket")) {
    status = SendPidFd(context.options.Get("pidfd-socket"), created.container->init_pidfd());
  }
  const bool detached = starter == StartedBy::kAnother || context.options.Has("detach");
  if (status.ok()) status = DeliverConsole(context, *created.container, detached);
  if (status.ok() && starter == StartedBy::kAnother) status = created.container->LetGo();
  if (!status.ok()) {
    AwaitStatus(loop, [&](launch::Container::Done done) {
      created.container->Cleanup(std::move(done));
    }).IgnoreError();  // the first error is the one to tell
    return status;
  }
  std::move(forget).Cancel();
  return created;
}

}  // namespace

absl::StatusOr<int> RunCreate(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(Created created, Create(context, *loop, StartedBy::kAnother));
  return 0;
}

absl::StatusOr<int> RunStart(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, context.store.Load(id));
  const RuntimeState state = context.store.StateOf(record);
  if (state != RuntimeState::kCreated) {
    return absl::FailedPreconditionError(state == RuntimeState::kStopped
                                             ? "cannot start a container that has stopped"
                                             : "cannot start an already running container");
  }
  const absl::Status started =
      launch::Container::StartDetached(ToCleanupRecord(record), context.store.StartSocket(id));
  // Whatever came of it, nobody waits there any more.
  ::unlink(context.store.StartSocket(id).c_str());
  BERTH_RETURN_IF_ERROR(started);
  return 0;
}

absl::StatusOr<int> RunRun(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(Created created, Create(context, *loop, StartedBy::kThisProcess));
  const bool detach = context.options.Has("detach");
  absl::Status started = AwaitStatus(
      *loop, [&](launch::Container::Done done) { created.container->Start(std::move(done)); });
  context.log.Latency("start", created.container->latency());
  if (started.ok() && detach) return 0;
  absl::StatusOr<int> code = started.ok() ? WaitInForeground(*loop, created.container->init_pidfd(),
                                                             created.container->TakeConsole())
                                          : absl::StatusOr<int>(started);
  absl::Status removed = AwaitStatus(
      *loop, [&](launch::Container::Done done) { created.container->Cleanup(std::move(done)); });
  PrintWarnings(*created.container);
  if (removed.ok() && !context.options.Has("keep"))
    removed = context.store.Remove(created.record.id);
  if (code.ok()) {
    BERTH_RETURN_IF_ERROR(removed);
  }
  return code;
}

}  // namespace berth::oci
