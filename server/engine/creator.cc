#include "server/engine/creator.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/engine/config_merge.h"
#include "server/engine/copy_up.h"
#include "server/engine/host_checks.h"
#include "server/engine/modes.h"
#include "server/engine/names.h"
#include "server/engine/spec_builder.h"
#include "server/engine/storage_limit.h"
#include "server/image/image_unpacker.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/namespace_store.h"
#include "server/metadata/record.h"
#include "server/metadata/snapshot_store.h"

namespace berth::engine {
namespace {

constexpr int kNameAttempts = 16;
constexpr char kDefaultSnapshotter[] = "overlayfs";
constexpr char kSnapshotterLabel[] = "containerd.io/defaults/snapshotter";
constexpr char kLogMaxSize[] = "10m";
constexpr char kLogMaxFile[] = "3";

// Docker's default is an unlimited log, which fills disks.
void SetDefaults(v1::HostConfig& host) {
  v1::LogConfig& log = *host.mutable_log();
  if (log.driver().empty()) log.set_driver("json-file");
  if (log.driver() == "json-file") {
    log.mutable_options()->insert({"max-size", kLogMaxSize});
    log.mutable_options()->insert({"max-file", kLogMaxFile});
  }
  if (host.restart_policy().name().empty()) host.mutable_restart_policy()->set_name("no");
  if (host.network_mode().empty()) host.set_network_mode("default");
  if (host.ipc_mode().empty()) host.set_ipc_mode("private");
  if (host.shm_size_bytes() == 0) host.set_shm_size_bytes(64 << 20);
}

bool Covers(const v1::Container& container, const std::string& destination) {
  const auto& points = container.mounts();
  const auto& mounts = container.host_config().mounts();
  return std::any_of(points.begin(), points.end(),
                     [&](const auto& point) { return point.destination() == destination; }) ||
         std::any_of(mounts.begin(), mounts.end(),
                     [&](const auto& mount) { return mount.target() == destination; });
}

std::map<std::string, std::string> StorageOptionsOf(const v1::HostConfig& host) {
  std::map<std::string, std::string> options;
  for (const auto& [key, value] : host.storage_options()) options[key] = value;
  return options;
}

// Opened below the volume, so that no link in it leads out.
absl::StatusOr<std::string> Subdirectory(const std::string& directory, const std::string& subpath) {
  if (subpath.empty()) return directory;
  BERTH_ASSIGN_OR_RETURN(const UniqueFd root, OpenFile(directory, O_PATH | O_DIRECTORY));
  BERTH_RETURN_IF_ERROR(OpenInRoot(root, subpath, O_PATH).status())
      << "cannot access path " << directory << "/" << subpath;
  return absl::StrCat(directory, "/", subpath);
}

}  // namespace

Async<absl::StatusOr<v1::CreateContainerResponse>> Creator::Create(
    std::string ns, v1::CreateContainerRequest request) {
  BERTH_CO_ASSIGN_OR_RETURN(Draft draft, MakeDraft(ns, request));
  BERTH_CO_RETURN_IF_ERROR(ReserveName(draft, request.name()));
  const metadata::Caller caller{ns};
  Await<absl::Status> unpack(with_.parts.executor, [&](auto done) {
    with_.parts.unpacker.Unpack(caller, draft.image, draft.container.snapshotter(),
                                std::move(done));
  });
  absl::Status made = co_await unpack;
  if (made.ok()) {
    // Keeps the new snapshot until the record names it.
    auto lease = with_.parts.leases.Create(caller, "", {});
    made = lease.status();
    if (lease.ok()) {
      made = Build(draft, lease->id());
      with_.parts.leases.Delete(caller, lease->id()).IgnoreError();  // expires with the collector
    }
  }
  if (!made.ok()) {
    Undo(draft);
    co_return made;
  }
  with_.lifecycle.Publish(draft.key, draft.container, "create");
  draft.response.set_id(draft.key.id);
  draft.response.set_name(draft.container.name());
  co_return draft.response;
}

absl::StatusOr<Creator::Draft> Creator::MakeDraft(const std::string& ns,
                                                  const v1::CreateContainerRequest& request) {
  Draft draft;
  v1::Container& container = draft.container;
  if (!request.name().empty()) {
    BERTH_RETURN_IF_ERROR(ValidateContainerName(request.name()));
  }
  BERTH_RETURN_IF_ERROR(CheckHostConfig(request.host_config()));
  BERTH_RETURN_IF_ERROR(CheckAgainstHost(request.config(), request.host_config()));
  BERTH_RETURN_IF_ERROR(ParseStorageLimit(StorageOptionsOf(request.host_config())).status());
  std::optional<image::Platform> platform;
  if (!request.platform().empty()) {
    BERTH_ASSIGN_OR_RETURN(platform, image::ParsePlatform(request.platform()));
  }
  auto found = with_.parts.images.Find(metadata::Caller{ns}, request.config().image(), platform);
  if (absl::IsNotFound(found.status())) {
    return absl::NotFoundError(absl::StrCat("No such image: ", request.config().image(), " (",
                                            found.status().message(), ")"));
  }
  BERTH_RETURN_IF_ERROR(found.status());
  draft.image = *std::move(found);
  BERTH_ASSIGN_OR_RETURN(*container.mutable_config(),
                         MergeConfig(request.config(), draft.image.config));
  *container.mutable_host_config() = request.host_config();
  SetDefaults(*container.mutable_host_config());
  *container.mutable_created_at() = metadata::ToTimestamp(absl::Now());
  container.set_image_id(draft.image.id());
  container.set_image_name(request.config().image());
  container.set_image_record(draft.image.name);
  container.set_image_manifest(draft.image.manifest.digest());
  container.set_platform(image::FormatPlatform(draft.image.platform));
  for (std::string& argument : ArgumentsOf(container.config())) {
    container.add_arguments(std::move(argument));
  }
  container.mutable_state()->set_status(v1::STATUS_CREATED);
  container.set_snapshotter(request.snapshotter());
  if (container.snapshotter().empty()) {
    container.set_snapshotter(kDefaultSnapshotter);
    if (const auto record = with_.parts.namespaces.Get(ns); record.ok()) {
      const auto label = record->labels().find(kSnapshotterLabel);
      if (label != record->labels().end()) container.set_snapshotter(label->second);
    }
  }
  draft.key = {ns, RandomId()};
  container.set_directory(with_.records.DirectoryOf(draft.key));
  if (container.host_config().log().driver() == "json-file") {
    container.set_log_path(absl::StrCat(container.directory(), "/", draft.key.id, "-json.log"));
  }
  BERTH_RETURN_IF_ERROR(ResolveNamespaces(draft));
  return draft;
}

absl::Status Creator::ResolveNamespaces(Draft& draft) {
  v1::HostConfig& host = *draft.container.mutable_host_config();
  const auto resolve = [&](const std::string& mode) -> absl::StatusOr<std::string> {
    if (!absl::StartsWith(mode, "container:")) return mode;
    BERTH_ASSIGN_OR_RETURN(const std::string id,
                           with_.table.Resolve(draft.key.ns, mode.substr(10)));
    return absl::StrCat("container:", id);
  };
  BERTH_ASSIGN_OR_RETURN(*host.mutable_network_mode(), resolve(host.network_mode()));
  BERTH_ASSIGN_OR_RETURN(*host.mutable_ipc_mode(), resolve(host.ipc_mode()));
  BERTH_ASSIGN_OR_RETURN(*host.mutable_pid_mode(), resolve(host.pid_mode()));
  return absl::OkStatus();
}

absl::Status Creator::ReserveName(Draft& draft, const std::string& wanted) {
  if (!wanted.empty()) {
    draft.container.set_name(wanted);
    return with_.table.Reserve(draft.key, wanted);
  }
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    const std::string name = RandomName(attempt);
    const absl::Status reserved = with_.table.Reserve(draft.key, name);
    if (absl::IsAlreadyExists(reserved)) continue;
    draft.container.set_name(name);
    return reserved;
  }
  return absl::ResourceExhaustedError("no random name is free; choose one with --name");
}

absl::Status Creator::Build(Draft& draft, const std::string& lease) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(draft.container.directory(), 0710));
  const metadata::Caller caller{draft.key.ns, lease};
  BERTH_RETURN_IF_ERROR(
      with_.parts.snapshots
          .Prepare(caller, draft.container.snapshotter(), {draft.key.id, draft.image.chain_id, {}})
          .status())
      << "prepare the root of container " << draft.key.id;
  BERTH_RETURN_IF_ERROR(LimitStorage(draft));
  BERTH_RETURN_IF_ERROR(ResolveMounts(draft));
  BERTH_ASSIGN_OR_RETURN(const SpecInput input,
                         with_.lifecycle.MakeSpecInput(draft.key, draft.container));
  BERTH_ASSIGN_OR_RETURN(const oci::Json spec, BuildSpec(input));
  BERTH_RETURN_IF_ERROR(BuildHealthProcess(input).status());
  return with_.records.Create(draft.key, draft.container, spec.dump());
}

absl::Status Creator::LimitStorage(const Draft& draft) {
  BERTH_ASSIGN_OR_RETURN(const uint64_t bytes,
                         ParseStorageLimit(StorageOptionsOf(draft.container.host_config())));
  if (bytes == 0) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const auto mounts, with_.parts.snapshots.GetMounts(
                                                metadata::Caller{draft.key.ns},
                                                draft.container.snapshotter(), draft.key.id));
  return SetStorageLimit(mounts.empty() ? std::vector<std::string>()
                                        : DirectoriesOfLayer(mounts[0].type, mounts[0].options),
                         bytes, draft.key.id);
}

absl::Status Creator::ResolveMounts(Draft& draft) {
  BERTH_RETURN_IF_ERROR(AddVolumesFrom(draft));
  for (const v1::Mount& mount : draft.container.host_config().mounts()) {
    if (mount.type() == v1::Mount::TYPE_BIND) {
      BERTH_RETURN_IF_ERROR(AddBindMount(draft, mount));
    }
    if (mount.type() == v1::Mount::TYPE_VOLUME) {
      BERTH_RETURN_IF_ERROR(AddVolumeMount(draft, mount));
    }
  }
  return AddAnonymousVolumes(draft);
}

absl::Status Creator::AddVolumesFrom(Draft& draft) {
  for (const std::string& text : draft.container.host_config().volumes_from()) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
    BERTH_ASSIGN_OR_RETURN(const std::string id, with_.table.Resolve(draft.key.ns, parts.first));
    BERTH_ASSIGN_OR_RETURN(const v1::Container other, with_.records.Load({draft.key.ns, id}));
    for (v1::MountPoint point : other.mounts()) {
      if (Covers(draft.container, point.destination())) continue;
      if (parts.second == "ro") point.set_writable(false);
      if (point.type() == v1::Mount::TYPE_VOLUME) {
        BERTH_RETURN_IF_ERROR(with_.volumes.Use(draft.key, point.name()));
      }
      *draft.container.add_mounts() = std::move(point);
    }
  }
  return absl::OkStatus();
}

absl::Status Creator::AddBindMount(Draft& draft, const v1::Mount& mount) {
  struct stat status = {};
  if (::stat(mount.source().c_str(), &status) != 0) {
    if (errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("bind source ", mount.source()));
    if (!mount.create_source()) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid mount config for type \"bind\": bind source path does not exist: ",
                       mount.source()));
    }
    BERTH_RETURN_IF_ERROR(EnsureDirectory(mount.source(), 0755));
  }
  v1::MountPoint& point = *draft.container.add_mounts();
  point.set_type(v1::Mount::TYPE_BIND);
  BERTH_ASSIGN_OR_RETURN(*point.mutable_source(), Subdirectory(mount.source(), mount.subpath()));
  point.set_destination(mount.target());
  point.set_writable(!mount.read_only());
  point.set_propagation(mount.propagation().empty() ? "rprivate" : mount.propagation());
  point.set_non_recursive(mount.non_recursive());
  point.set_read_only_non_recursive(mount.read_only_non_recursive());
  point.set_read_only_force_recursive(mount.read_only_force_recursive());
  return absl::OkStatus();
}

absl::Status Creator::AddVolumeMount(Draft& draft, const v1::Mount& mount) {
  v1::CreateVolumeRequest request;
  request.set_name(mount.source());
  *request.mutable_labels() = mount.volume_labels();
  *request.mutable_options() = mount.volume_options();
  BERTH_ASSIGN_OR_RETURN(const Volumes::Found found, with_.volumes.Create(draft.key.ns, request));
  BERTH_RETURN_IF_ERROR(with_.volumes.Use(draft.key, found.volume.name()));
  const bool is_mounted = !found.volume.options().empty();
  if (is_mounted && !mount.subpath().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "volume-subpath: volume ", found.volume.name(),
        " is mounted by its driver options when the container starts; mount it whole"));
  }
  // What will be mounted there has its own content.
  if (!mount.no_copy() && !is_mounted) {
    // Also for an older volume that is still empty, as Docker does.
    BERTH_RETURN_IF_ERROR(CopyUp(with_.parts, draft.key, draft.container.snapshotter(),
                                 mount.target(), found.volume.mountpoint()));
  }
  v1::MountPoint& point = *draft.container.add_mounts();
  point.set_type(v1::Mount::TYPE_VOLUME);
  point.set_name(found.volume.name());
  BERTH_ASSIGN_OR_RETURN(*point.mutable_source(),
                         Subdirectory(found.volume.mountpoint(), mount.subpath()));
  point.set_destination(mount.target());
  point.set_driver("local");
  point.set_writable(!mount.read_only());
  point.set_no_copy(mount.no_copy());
  point.set_anonymous(mount.source().empty());
  return absl::OkStatus();
}

absl::Status Creator::AddAnonymousVolumes(Draft& draft) {
  for (const std::string& destination : draft.container.config().anonymous_volumes()) {
    if (Covers(draft.container, destination)) continue;
    v1::Mount mount;
    mount.set_type(v1::Mount::TYPE_VOLUME);
    mount.set_target(destination);
    BERTH_RETURN_IF_ERROR(AddVolumeMount(draft, mount));
  }
  return absl::OkStatus();
}

void Creator::Undo(const Draft& draft) {
  // Whatever fails here is what a crash would have left: the next start removes it.
  const metadata::Caller caller{draft.key.ns};
  with_.parts.snapshots.Remove(caller, draft.container.snapshotter(), draft.key.id).IgnoreError();
  with_.table.Remove(draft.key).IgnoreError();
  for (const v1::MountPoint& point : draft.container.mounts()) {
    if (point.anonymous()) with_.volumes.Remove(draft.key.ns, point.name()).IgnoreError();
  }
  const auto parent = OpenFile(absl::StrCat(with_.parts.root, "/containers/", draft.key.ns),
                               O_RDONLY | O_DIRECTORY);
  if (parent.ok()) RemoveTreeAt(*parent, draft.key.id).IgnoreError();
}

}  // namespace berth::engine
