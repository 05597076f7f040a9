#include "client/commands/container_factory.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/oci/capabilities.h"
#include "base/oci/host_devices.h"
#include "base/oci/user_lookup.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/commands/record_labels.h"
#include "client/sdk/container_spec.h"
#include "client/sdk/environment.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/image_unpack.h"
#include "client/sdk/mount_option.h"
#include "client/sdk/namespace_client.h"
#include "client/sdk/quantities.h"
#include "client/sdk/rootfs_files.h"
#include "client/sdk/timestamps.h"
#include "proto/containerd/runc/v1/options.pb.h"

namespace berth::client {
namespace {

constexpr char kSpecType[] = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
constexpr char kRuncOptionsType[] = "containerd.runc.v1.Options";
constexpr char kDefaultPath[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

CgroupLayout DetectCgroupLayout() {
  return ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? CgroupLayout::kV2
                                                                  : CgroupLayout::kV1;
}

// A file that the image does not have reads as empty.
std::string FileOrEmpty(const Mounts& mounts, absl::string_view path) {
  absl::StatusOr<std::string> text = ReadRootfsFile(mounts, path);
  return text.ok() ? *std::move(text) : "";
}

absl::StatusOr<std::vector<std::string>> Environment(const ImageConfig& image,
                                                     const RunOptions& options,
                                                     absl::string_view hostname,
                                                     const oci::ProcessUser& user) {
  std::vector<std::string> overrides;
  for (const std::string& path : options.environment_files) {
    BERTH_ASSIGN_OR_RETURN(const std::string text, berth::ReadFile(path, 1 << 20),
                           _ << "--env-file");
    for (std::string& entry : ParseEnvironmentFile(text)) overrides.push_back(std::move(entry));
  }
  overrides.insert(overrides.end(), options.environment.begin(), options.environment.end());
  std::vector<std::string> base = image.environment;
  SetDefault(base, "PATH", absl::string_view(kDefaultPath).substr(5));
  SetDefault(base, "HOSTNAME", hostname);
  if (options.has_terminal) SetDefault(base, "TERM", "xterm");
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> merged,
                         MergeEnvironment(std::move(base), overrides, InheritedEnvironment()),
                         _ << "-e");
  SetDefault(merged, "HOME", user.home);
  return merged;
}

absl::StatusOr<std::vector<MountOption>> UserMounts(const RunOptions& options) {
  std::vector<MountOption> mounts;
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  for (const std::string& text : options.volumes) {
    BERTH_ASSIGN_OR_RETURN(MountOption mount, ParseVolume(text, here));
    // As docker's -v does: a missing source becomes a directory.
    if (::access(mount.source.c_str(), F_OK) != 0) {
      BERTH_RETURN_IF_ERROR(EnsureDirectory(mount.source, 0755)) << "-v \"" << text << "\"";
    }
    mounts.push_back(std::move(mount));
  }
  for (const std::string& text : options.tmpfs) {
    BERTH_ASSIGN_OR_RETURN(MountOption mount, ParseTmpfs(text));
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

absl::Status ApplySecurityOptions(const RunOptions& options, ContainerSpecOptions& spec) {
  for (const std::string& text : options.security_options) {
    if (text == "no-new-privileges" || text == "no-new-privileges:true") {
      spec.process.escalation = Escalation::kNoNewPrivileges;
    } else if (text == "seccomp=unconfined" || text == "seccomp:unconfined") {
      spec.seccomp = SeccompMode::kUnconfined;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "--security-opt \"", text, "\" is not known (no-new-privileges, seccomp=unconfined)"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerSpecOptions> SpecOptions(const Connection& connection,
                                                 const std::string& id, const RunOptions& options,
                                                 const FactoryOptions& factory,
                                                 const ImageConfig& image, const Mounts& root) {
  ContainerSpecOptions spec;
  spec.ns = connection.ns();
  spec.id = id;
  spec.hostname = options.hostname.empty() ? id.substr(0, 63) : options.hostname;
  spec.cgroup_layout = DetectCgroupLayout();
  spec.root_access = options.is_read_only ? RootAccess::kReadOnly : RootAccess::kReadWrite;
  if (options.network == "host") {
    spec.network = NetworkMode::kHost;
  } else if (options.network != "none") {
    return absl::InvalidArgumentError(
        absl::StrCat("--net \"", options.network, "\" is not known (none or host)"));
  }
  if (!options.memory.empty()) {
    BERTH_ASSIGN_OR_RETURN(spec.limits.memory_bytes, ParseBytes(options.memory), _ << "--memory");
  }
  if (options.cpus < 0) return absl::InvalidArgumentError("--cpus must be positive");
  spec.limits.cpus = options.cpus;
  spec.limits.pids = options.pids_limit;
  BERTH_ASSIGN_OR_RETURN(spec.mounts, UserMounts(options));

  std::vector<std::string> base = oci::DefaultCapabilities();
  if (options.is_privileged) {
    spec.privilege = Privilege::kPrivileged;
    spec.host_devices = oci::ListHostDevices();
    base = oci::HostBoundingCapabilities();
  }
  BERTH_ASSIGN_OR_RETURN(
      spec.process.capabilities,
      oci::AdjustCapabilities(std::move(base), options.capabilities_added,
                              options.capabilities_dropped, oci::HostBoundingCapabilities()));
  BERTH_RETURN_IF_ERROR(ApplySecurityOptions(options, spec));

  BERTH_ASSIGN_OR_RETURN(spec.process.arguments, CombineArguments(image, options));
  const std::string user = options.user.empty() ? image.user : options.user;
  BERTH_ASSIGN_OR_RETURN(
      spec.process.user,
      oci::LookUpUser(user, FileOrEmpty(root, "etc/passwd"), FileOrEmpty(root, "etc/group")),
      _ << "--user");
  BERTH_ASSIGN_OR_RETURN(spec.process.environment,
                         Environment(image, options, spec.hostname, spec.process.user));
  spec.process.working_directory = !options.working_directory.empty() ? options.working_directory
                                   : image.working_directory.empty()  ? "/"
                                                                      : image.working_directory;
  spec.process.has_terminal = options.has_terminal;
  spec.process.terminal_columns = factory.terminal_columns;
  spec.process.terminal_rows = factory.terminal_rows;
  return spec;
}

absl::StatusOr<LabelMap> Labels(const RunOptions& options, const ImageConfig& image,
                                const FactoryOptions& factory) {
  LabelMap labels;
  for (const auto& [key, value] : image.labels) {
    // Labels that steer the store or us are not the image's to set.
    if (!absl::StartsWith(key, "containerd.io/") && !absl::StartsWith(key, "berth.io/")) {
      labels[key] = value;
    }
  }
  for (const std::string& text : options.labels) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (parts.first.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--label \"", text, "\": expected KEY=value"));
    }
    labels[parts.first] = parts.second;
  }
  if (!options.name.empty()) labels[kNameLabel] = options.name;
  if (!factory.log_path.empty()) labels[kLogLabel] = factory.log_path;
  const std::string stop_signal =
      options.stop_signal.empty() ? image.stop_signal : options.stop_signal;
  if (!stop_signal.empty()) {
    BERTH_RETURN_IF_ERROR(ParseSignal(stop_signal)) << "--stop-signal";
    labels[kStopSignalLabel] = stop_signal;
  }
  labels[kStartedAtLabel] = FormatMoment(absl::Now());
  return labels;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CombineArguments(const ImageConfig& image,
                                                          const RunOptions& options) {
  std::vector<std::string> arguments = image.entrypoint;
  std::vector<std::string> command = options.command;
  if (!options.entrypoint.empty()) {
    arguments = {options.entrypoint};  // the image's command belonged to its own entry point
  } else if (command.empty()) {
    command = image.command;
  }
  arguments.insert(arguments.end(), command.begin(), command.end());
  if (arguments.empty()) {
    return absl::InvalidArgumentError(
        "the image names no command; give one after the image's name");
  }
  return arguments;
}

std::string ChooseSnapshotter(const Connection& connection, absl::string_view wanted) {
  if (!wanted.empty()) return std::string(wanted);
  absl::StatusOr<NamespaceRecord> ns = NamespaceClient(connection).Get(connection.ns());
  if (ns.ok()) {
    const auto label = ns->labels().find("containerd.io/defaults/snapshotter");
    if (label != ns->labels().end()) return label->second;
  }
  return "overlayfs";
}

absl::StatusOr<CreatedContainer> CreateContainer(const Connection& connection, std::string id,
                                                 const RunOptions& options,
                                                 const FactoryOptions& factory) {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord image_record, FindImage(connection, options.image));
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, image_record));
  BERTH_RETURN_IF_ERROR(UnpackImage(connection, image, factory.snapshotter));

  const SnapshotClient snapshots(connection, factory.snapshotter);
  CreatedContainer created;
  // A record of that name protects its snapshot: Prepare finds the key taken.
  absl::StatusOr<Mounts> mounts = snapshots.Prepare(id, image.chain_id(), {});
  if (absl::IsAlreadyExists(mounts.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat("the name \"", id, "\" is in use by another container; remove that one with ",
                     "`berth rm ", id, "`, or choose another name"));
  }
  BERTH_RETURN_IF_ERROR(mounts.status()) << "prepare the root of container " << id;
  created.root_mounts = *std::move(mounts);
  const auto make_record = [&]() -> absl::StatusOr<ContainerRecord> {
    BERTH_ASSIGN_OR_RETURN(
        const ContainerSpecOptions spec,
        SpecOptions(connection, id, options, factory, image.config, created.root_mounts));
    created.arguments = spec.process.arguments;
    ContainerRecord record;
    record.set_id(id);
    record.set_image(image.record.name());
    record.mutable_runtime()->set_name(options.runtime);
    record.mutable_runtime()->mutable_options()->set_type_url(kRuncOptionsType);
    record.mutable_runtime()->mutable_options()->set_value(
        containerd::runc::v1::Options().SerializeAsString());
    record.mutable_spec()->set_type_url(kSpecType);
    record.mutable_spec()->set_value(MakeContainerSpec(spec).dump());
    record.set_snapshotter(factory.snapshotter);
    record.set_snapshot_key(id);
    BERTH_ASSIGN_OR_RETURN(const LabelMap labels, Labels(options, image.config, factory));
    record.mutable_labels()->insert(labels.begin(), labels.end());
    return ContainerClient(connection).Create(record);
  };
  absl::StatusOr<ContainerRecord> record = make_record();
  if (!record.ok()) {
    snapshots.Remove(id).IgnoreError();  // otherwise the collector's, once the lease has ended
    return Annotate(record.status(), absl::StrCat("create container ", id));
  }
  created.record = *std::move(record);
  return created;
}

}  // namespace berth::client
