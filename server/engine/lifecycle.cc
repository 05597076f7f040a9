#include "server/engine/lifecycle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/grpc/executor.h"
#include "base/loop/loop.h"
#include "base/oci/layered_file.h"
#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "server/engine/modes.h"
#include "server/engine/network_files.h"
#include "server/events/exchange.h"
#include "server/metadata/snapshot_store.h"

namespace berth::engine {
namespace {

constexpr char kUnifiedFile[] = "/sys/fs/cgroup/cgroup.controllers";

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

// A file that is not there reads as empty.
std::string TextOf(absl::string_view path) {
  absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  return text.ok() ? *std::move(text) : "";
}

}  // namespace

Lifecycle::Lifecycle(Collaborators collaborators)
    : parts_(collaborators.parts),
      table_(collaborators.table),
      records_(collaborators.records),
      events_(collaborators.events),
      volumes_(collaborators.volumes),
      init_program_(parts_.shim_program, parts_.root + "/init") {}

Lifecycle::~Lifecycle() = default;

void Lifecycle::Publish(const ContainerKey& key, const v1::Container& container,
                        absl::string_view action, EventLog::Attributes more) {
  more.insert({"image", container.image_name()});
  more.insert({"name", container.name()});
  for (const auto& [label, value] : container.config().labels()) more.insert({label, value});
  events_.Publish(key.ns, "container", action, key.id, std::move(more));
}

void Lifecycle::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> function) {
  parts_.loop.Post([&loop = parts_.loop, delay, function = std::move(function)]() mutable {
    loop.After(delay, std::move(function));
  });
}

absl::StatusOr<EndWaiters::Ticket> Lifecycle::Wait(const ContainerKey& key,
                                                   v1::WaitContainerRequest::Condition condition,
                                                   EndWaiters::Callback callback) {
  using Request = v1::WaitContainerRequest;
  // Shared, because an end may come between the registration and the look at the state.
  auto shared = std::make_shared<EndWaiters::Callback>(std::move(callback));
  auto once = std::make_shared<std::atomic<bool>>(false);
  const EndWaiters::Ticket ticket = waiters_.Wait(
      key,
      condition == Request::CONDITION_REMOVED ? EndWaiters::For::kRemoval : EndWaiters::For::kExit,
      [shared, once](absl::StatusOr<ContainerEnd> end) {
        if (!once->exchange(true)) (*shared)(std::move(end));
      });
  absl::StatusOr<ContainerRow> row = table_.Get(key);
  if (!row.ok()) {
    waiters_.Cancel(key, ticket);
    return row.status();
  }
  const v1::Status status = row->state.status();
  const bool runs = status == v1::STATUS_RUNNING || status == v1::STATUS_PAUSED ||
                    status == v1::STATUS_RESTARTING;
  if (condition == Request::CONDITION_NOT_RUNNING && !runs) {
    waiters_.Cancel(key, ticket);
    if (!once->exchange(true)) {
      (*shared)(ContainerEnd{row->state.exit_code(), row->state.error()});
    }
  }
  return ticket;
}

Async<absl::Status> Lifecycle::AwaitExit(ContainerKey key, absl::Duration limit) {
  struct Race {
    absl::AnyInvocable<void(absl::Status)> done;
    std::atomic<bool> over{false};
    void Finish(absl::Status status) {
      if (!over.exchange(true)) done(std::move(status));
    }
  };
  auto race = std::make_shared<Race>();
  // By value: once the wait is registered the exit may come on another thread, and end this
  // coroutine with everything in its frame, while the rest of this runs.
  Await<absl::Status> end(parts_.executor, [this, race, key, limit](auto done) {
    race->done = std::move(done);
    const auto ticket =
        Wait(key, v1::WaitContainerRequest::CONDITION_NOT_RUNNING,
             [race](const absl::StatusOr<ContainerEnd>& end) { race->Finish(end.status()); });
    // A container that is gone does not run.
    if (!ticket.ok()) {
      return race->Finish(absl::IsNotFound(ticket.status()) ? absl::OkStatus() : ticket.status());
    }
    if (limit == absl::InfiniteDuration()) return;
    RunAfter(limit, [this, race, key, ticket = *ticket] {
      waiters_.Cancel(key, ticket);
      race->Finish(absl::DeadlineExceededError("the container still runs"));
    });
  });
  const absl::Status result = co_await end;
  co_return result;
}

absl::StatusOr<SpecInput> Lifecycle::MakeSpecInput(const ContainerKey& key,
                                                   const v1::Container& container) {
  SpecInput input;
  input.ns = key.ns;
  input.id = key.id;
  input.container = container;
  input.host_name = HostName();
  input.cgroup_layout = ::access(kUnifiedFile, F_OK) == 0 ? CgroupLayout::kV2 : CgroupLayout::kV1;
  BERTH_ASSIGN_OR_RETURN(
      const auto mounts,
      parts_.snapshots.GetMounts(metadata::Caller{key.ns}, container.snapshotter(), key.id));
  if (!mounts.empty()) {
    const auto layers = oci::LayersOf(mounts[0].type, mounts[0].source, mounts[0].options);
    const auto text = [&](absl::string_view path) {
      absl::StatusOr<std::string> file = oci::ReadLayeredFile(layers, path);
      return file.ok() ? *std::move(file) : std::string();
    };
    input.passwd = text("etc/passwd");
    input.group = text("etc/group");
  }
  const v1::HostConfig& host = container.host_config();
  const auto pid_of = [&](absl::string_view mode) -> absl::StatusOr<int> {
    if (!absl::StartsWith(mode, "container:")) return 0;
    const std::string id(mode.substr(10));
    const auto other = table_.Get({key.ns, id});
    if (!other.ok()) return other.status();
    if (container.state().status() == v1::STATUS_CREATED && other->state.pid() == 0) return 0;
    if (other->state.pid() == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot join the namespaces of container ", id, ": it does not run"));
    }
    return static_cast<int>(other->state.pid());
  };
  BERTH_ASSIGN_OR_RETURN(input.network_pid, pid_of(host.network_mode()));
  BERTH_ASSIGN_OR_RETURN(input.ipc_pid, pid_of(host.ipc_mode()));
  BERTH_ASSIGN_OR_RETURN(input.pid_pid, pid_of(host.pid_mode()));
  std::string files = container.directory();
  if (absl::StartsWith(host.network_mode(), "container:")) {
    files = records_.DirectoryOf({key.ns, host.network_mode().substr(10)});
  }
  input.hosts_path = files + "/hosts";
  input.hostname_path = container.directory() + "/hostname";
  input.resolv_conf_path = files + "/resolv.conf";
  // A container that shares another's processes has that one's process 1.
  if (host.init() && host.pid_mode().empty()) {
    BERTH_ASSIGN_OR_RETURN(input.init_path, init_program_.Ensure());
  }
  // A shareable /dev/shm is a directory of STATE, which its sharers bind as well.
  if (host.ipc_mode() == "shareable") {
    input.shared_shm = absl::StrCat(parts_.state, "/shm/", key.ns, "/", key.id);
  } else if (absl::StartsWith(host.ipc_mode(), "container:")) {
    const std::string shared =
        absl::StrCat(parts_.state, "/shm/", key.ns, "/", host.ipc_mode().substr(10));
    if (::access(shared.c_str(), F_OK) == 0) input.shared_shm = shared;
  }
  return input;
}

absl::Status Lifecycle::WriteContainerFiles(const ContainerKey& key,
                                            const v1::Container& container) {
  const v1::HostConfig& host = container.host_config();
  std::string hostname = container.config().hostname();
  if (hostname.empty())
    hostname = host.network_mode() == "host" ? HostName() : key.id.substr(0, 12);
  BERTH_RETURN_IF_ERROR(EnsureDirectory(container.directory(), 0710));
  const auto write = [&](absl::string_view name, absl::string_view text) {
    const std::string path = absl::StrCat(container.directory(), "/", name);
    // Made once: what the container wrote to it stays. It is not synced, so that a power cut may
    // leave the name without the bytes: an empty one is made again.
    struct stat info;
    if (::stat(path.c_str(), &info) == 0 && info.st_size > 0) return absl::OkStatus();
    return ReplaceFileAt(BorrowedFd(AT_FDCWD), path, text, 0644, Durability::kUnsynced);
  };
  BERTH_ASSIGN_OR_RETURN(const std::string hosts, MakeHosts(host, hostname, TextOf("/etc/hosts")));
  BERTH_RETURN_IF_ERROR(write("hosts", hosts));
  BERTH_RETURN_IF_ERROR(write("hostname", hostname + "\n"));
  BERTH_RETURN_IF_ERROR(write("resolv.conf", MakeResolvConf(host, TextOf("/etc/resolv.conf"))));
  if (host.ipc_mode() == "shareable") {
    const std::string shared = absl::StrCat(parts_.state, "/shm/", key.ns, "/", key.id);
    BERTH_RETURN_IF_ERROR(EnsureDirectory(shared, 0700));
    if (::chmod(shared.c_str(), 01777) != 0) return absl::InternalError("chmod " + shared);
    if (::chmod(absl::StrCat(parts_.state, "/shm").c_str(), 0711) != 0 ||
        ::chmod(absl::StrCat(parts_.state, "/shm/", key.ns).c_str(), 0711) != 0) {
      return absl::InternalError("chmod " + shared);
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::engine
