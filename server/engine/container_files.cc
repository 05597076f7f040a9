#include "server/engine/container_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "server/engine/root_view.h"
#include "server/metadata/snapshot_store.h"

namespace berth::engine {
namespace {

constexpr absl::Duration kLockLimit = absl::Seconds(5);

// Of one that runs. NOT_FOUND when it has ended meanwhile.
absl::StatusOr<ContainerFiles> OpenRunning(Engine& engine, const ContainerKey& key, uint32_t pid,
                                           absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(const RootView view, RootView::OfProcess(static_cast<pid_t>(pid)));
  // The number may have been another's by then: it is not when the container still has it.
  BERTH_ASSIGN_OR_RETURN(const ContainerRow row, engine.table().Get(key));
  if (row.state.pid() != pid) return absl::NotFoundError("the container has ended");
  ContainerFiles files;
  BERTH_ASSIGN_OR_RETURN(files.root, DupFd(view.root()));
  files.path = ParseContainerPath(path);
  return files;
}

// The mount that a path lies in, the innermost one; nullptr for the root.
const v1::MountPoint* MountOf(const v1::Container& container, const std::string& path) {
  const v1::MountPoint* found = nullptr;
  for (const v1::MountPoint& mount : container.mounts()) {
    if (mount.type() == v1::Mount::TYPE_TMPFS) continue;
    if (path != mount.destination() &&
        !absl::StartsWith(path, absl::StrCat(mount.destination(), "/"))) {
      continue;
    }
    if (found == nullptr || found->destination().size() < mount.destination().size()) {
      found = &mount;
    }
  }
  return found;
}

absl::StatusOr<ContainerFiles> OpenMount(const v1::MountPoint& mount, ContainerPath path) {
  ContainerFiles files;
  BERTH_ASSIGN_OR_RETURN(files.root, OpenFile(mount.source(), O_PATH | O_DIRECTORY));
  if (!mount.subpath().empty()) {
    BERTH_ASSIGN_OR_RETURN(files.root,
                           OpenInRoot(files.root, mount.subpath(), O_PATH | O_DIRECTORY));
  }
  files.mount = mount.destination();
  files.is_read_only = !mount.writable();
  path.text = absl::StrCat("/", absl::StripPrefix(path.text.substr(files.mount.size()), "/"));
  if (path.text == "/") path.wants_directory = true;
  files.path = std::move(path);
  return files;
}

absl::StatusOr<ContainerFiles> OpenStopped(Engine& engine, const ContainerKey& key,
                                           const v1::Container& container, absl::string_view text,
                                           RootView::Access access) {
  ContainerPath path = ParseContainerPath(text);
  if (const v1::MountPoint* mount = MountOf(container, path.text); mount != nullptr) {
    if (mount->type() == v1::Mount::TYPE_VOLUME) {
      const auto volume = engine.volumes().Get(key.ns, mount->name());
      if (volume.ok() && !volume->options().empty()) {
        return absl::FailedPreconditionError(
            absl::StrCat("volume ", mount->name(), " at ", mount->destination(),
                         " is mounted only while its container runs: start ", key.id, " first"));
      }
    }
    struct stat status = {};
    if (::stat(mount->source().c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
      return OpenMount(*mount, std::move(path));
    }
  }
  BERTH_ASSIGN_OR_RETURN(const auto mounts,
                         engine.parts().snapshots.GetMounts(metadata::Caller{key.ns},
                                                            container.snapshotter(), key.id));
  BERTH_ASSIGN_OR_RETURN(const RootView view, RootView::OfMounts(mounts, access));
  ContainerFiles files;
  BERTH_ASSIGN_OR_RETURN(files.root, DupFd(view.root()));
  files.path = std::move(path);
  files.is_read_only = container.host_config().read_only_root();
  return files;
}

absl::StatusOr<KeyedLocks::Guard> Lock(Engine& engine, const ContainerKey& key) {
  struct Waiting {
    Mutex mutex;
    std::optional<KeyedLocks::Guard> guard;
    bool is_late = false;
  };
  auto waiting = std::make_shared<Waiting>();
  engine.lifecycle().locks().Acquire(key, [waiting](KeyedLocks::Guard guard) {
    MutexLock lock(&waiting->mutex);
    if (!waiting->is_late) waiting->guard.emplace(std::move(guard));
  });
  MutexLock lock(&waiting->mutex);
  const auto has_it = [&] { return waiting->guard.has_value(); };
  if (!waiting->mutex.AwaitWithTimeout(absl::Condition(&has_it), kLockLimit)) {
    waiting->is_late = true;
    return absl::UnavailableError(
        absl::StrCat("container ", key.id, " is being started, removed or copied into; try again"));
  }
  KeyedLocks::Guard guard = *std::move(waiting->guard);
  waiting->guard.reset();
  return guard;
}

}  // namespace

absl::StatusOr<ContainerFiles> OpenToRead(Engine& engine, const ContainerKey& key,
                                          absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(const v1::Container container, engine.records().Load(key));
  if (const uint32_t pid = container.state().pid(); pid != 0) {
    absl::StatusOr<ContainerFiles> running = OpenRunning(engine, key, pid, path);
    if (!absl::IsNotFound(running.status())) return running;
  }
  return OpenStopped(engine, key, container, path, RootView::Access::kReadOnly);
}

absl::StatusOr<ContainerFiles> OpenToWrite(Engine& engine, const ContainerKey& key,
                                           absl::string_view path) {
  BERTH_ASSIGN_OR_RETURN(v1::Container container, engine.records().Load(key));
  if (const uint32_t pid = container.state().pid(); pid != 0) {
    absl::StatusOr<ContainerFiles> running = OpenRunning(engine, key, pid, path);
    if (!absl::IsNotFound(running.status())) return running;
  }
  BERTH_ASSIGN_OR_RETURN(KeyedLocks::Guard lock, Lock(engine, key));
  BERTH_ASSIGN_OR_RETURN(container, engine.records().Load(key));
  if (const uint32_t pid = container.state().pid(); pid != 0) {
    return OpenRunning(engine, key, pid, path);
  }
  BERTH_ASSIGN_OR_RETURN(ContainerFiles files,
                         OpenStopped(engine, key, container, path, RootView::Access::kReadWrite));
  files.lock.emplace(std::move(lock));
  return files;
}

}  // namespace berth::engine
