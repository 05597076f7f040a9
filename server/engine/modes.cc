#include "server/engine/modes.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"
#include "server/engine/log_options.h"

namespace berth::engine {
namespace {

using Kind = NamespaceMode::Kind;

constexpr int64_t kLeastMemoryBytes = 6 << 20;

absl::StatusOr<NamespaceMode> OfContainer(absl::string_view option, absl::string_view mode) {
  absl::string_view name = mode;
  if (absl::ConsumePrefix(&name, "container:")) {
    if (name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(option, " \"", mode, "\": a container's name or id must follow"));
    }
    return NamespaceMode{Kind::kContainer, std::string(name)};
  }
  return absl::InvalidArgumentError(absl::StrCat(option, " \"", mode, "\" is not known"));
}

absl::Status Refused(absl::string_view option, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(option, ": ", why));
}

absl::Status CheckResources(const v1::Resources& r) {
  if (r.memory_bytes() < 0 || (r.memory_bytes() > 0 && r.memory_bytes() < kLeastMemoryBytes)) {
    return absl::InvalidArgumentError("Minimum memory limit allowed is 6MB");
  }
  if (r.memory_swap_bytes() > 0 && r.memory_bytes() == 0) {
    return absl::InvalidArgumentError(
        "You should always set the Memory limit when using "
        "Memoryswap limit, see usage");
  }
  if (r.memory_swap_bytes() > 0 && r.memory_swap_bytes() < r.memory_bytes()) {
    return absl::InvalidArgumentError(
        "Minimum memoryswap limit should be larger than memory "
        "limit, see usage");
  }
  if (r.memory_reservation_bytes() > 0 && r.memory_bytes() > 0 &&
      r.memory_bytes() < r.memory_reservation_bytes()) {
    return absl::InvalidArgumentError(
        "Minimum memory limit can not be less than memory "
        "reservation limit, see usage");
  }
  if (r.nano_cpus() < 0) return Refused("--cpus", "must not be negative");
  if (r.nano_cpus() > 0 && (r.cpu_quota() > 0 || r.cpu_period() > 0)) {
    return absl::InvalidArgumentError(
        "Conflicting options: Nano CPUs and CPU Quota or Period "
        "cannot both be set.");
  }
  if (r.blkio_weight() != 0 && (r.blkio_weight() < 10 || r.blkio_weight() > 1000)) {
    return absl::InvalidArgumentError("Range of blkio weight is from 10 to 1000");
  }
  return absl::OkStatus();
}

absl::Status CheckMount(const v1::Mount& mount) {
  const absl::string_view target = mount.target();
  if (!absl::StartsWith(target, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid mount config: mount path must be absolute: '", target, "'"));
  }
  if (target == "/") {
    return absl::InvalidArgumentError("invalid specification: destination can't be '/'");
  }
  if (absl::StrContains(mount.subpath(), "..") || absl::StartsWith(mount.subpath(), "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("mount ", target, ": the subpath must be relative and without \"..\""));
  }
  switch (mount.type()) {
    case v1::Mount::TYPE_BIND:
      if (!absl::StartsWith(mount.source(), "/")) {
        return absl::InvalidArgumentError(
            absl::StrCat("invalid mount config for type \"bind\": invalid mount path: '",
                         mount.source(), "' mount path must be absolute"));
      }
      return absl::OkStatus();
    case v1::Mount::TYPE_TMPFS:
      if (!mount.source().empty()) {
        return absl::InvalidArgumentError(
            "invalid mount config for type \"tmpfs\": field Source must not be specified");
      }
      return absl::OkStatus();
    case v1::Mount::TYPE_VOLUME:
      if (!mount.volume_driver().empty() && mount.volume_driver() != "local") {
        return absl::NotFoundError(absl::StrCat("error looking up volume plugin ",
                                                mount.volume_driver(), ": only \"local\" is here"));
      }
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(absl::StrCat("mount ", target, ": mount type unknown"));
  }
}

absl::Status CheckMounts(const v1::HostConfig& host) {
  std::set<std::string> targets;
  for (const v1::Mount& mount : host.mounts()) {
    BERTH_RETURN_IF_ERROR(CheckMount(mount));
    if (!targets.insert(mount.target()).second) {
      return absl::InvalidArgumentError(absl::StrCat("Duplicate mount point: ", mount.target()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLog(const v1::LogConfig& log) {
  if (!log.driver().empty() && log.driver() != "json-file" && log.driver() != "none") {
    return absl::InvalidArgumentError(absl::StrCat("logger: no log driver named '", log.driver(),
                                                   "' is registered (json-file and none are)"));
  }
  for (const auto& [key, value] : log.options()) {
    if (key != "max-size" && key != "max-file" && key != "mode" && key != "max-buffer-size" &&
        key != "labels" && key != "labels-regex" && key != "env" && key != "env-regex" &&
        key != "tag" && key != "compress") {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown log opt '", key, "' for json-file log driver"));
    }
  }
  return CheckLogOptions(log);
}

}  // namespace

absl::StatusOr<NamespaceMode> ParseNetworkMode(absl::string_view mode) {
  if (mode.empty() || mode == "default") return NamespaceMode{};
  if (mode == "none") return NamespaceMode{Kind::kNone, ""};
  if (mode == "host") return NamespaceMode{Kind::kHost, ""};
  if (absl::StartsWith(mode, "container:")) return OfContainer("--network", mode);
  return absl::UnimplementedError(
      absl::StrCat("network ", mode, " not found: this release has the networks none, host and ",
                   "container:NAME; without --network a container gets a loopback only"));
}

absl::StatusOr<NamespaceMode> ParseIpcMode(absl::string_view mode) {
  if (mode.empty() || mode == "private") return NamespaceMode{};
  if (mode == "shareable") return NamespaceMode{Kind::kShareable, ""};
  if (mode == "host") return NamespaceMode{Kind::kHost, ""};
  if (mode == "none") return NamespaceMode{Kind::kNone, ""};
  return OfContainer("--ipc", mode);
}

absl::StatusOr<NamespaceMode> ParsePidMode(absl::string_view mode) {
  if (mode.empty()) return NamespaceMode{};
  if (mode == "host") return NamespaceMode{Kind::kHost, ""};
  return OfContainer("--pid", mode);
}

absl::StatusOr<NamespaceMode> ParseUtsMode(absl::string_view mode) {
  if (mode.empty()) return NamespaceMode{};
  if (mode == "host") return NamespaceMode{Kind::kHost, ""};
  return absl::InvalidArgumentError(absl::StrCat("--uts: invalid UTS mode: ", mode));
}

absl::StatusOr<NamespaceMode> ParseCgroupnsMode(absl::string_view mode) {
  if (mode.empty() || mode == "private") return NamespaceMode{};
  if (mode == "host") return NamespaceMode{Kind::kHost, ""};
  return absl::InvalidArgumentError(absl::StrCat("--cgroupns: invalid cgroup mode: ", mode));
}

absl::Status CheckUsernsMode(absl::string_view mode) {
  if (mode.empty() || mode == "host") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--userns: invalid USER mode: ", mode));
}

absl::Status CheckRestartPolicy(const v1::RestartPolicy& policy, bool auto_remove) {  // NOLINT
  const std::string& name = policy.name();
  if (name.empty() || name == "no") {
    if (policy.maximum_retry_count() != 0) {
      return absl::InvalidArgumentError(
          "invalid restart policy: maximum retry count can only be used with 'on-failure'");
    }
    return absl::OkStatus();
  }
  if (name != "on-failure" && name != "always" && name != "unless-stopped") {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid restart policy: unknown policy '", name,
                     "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"));
  }
  if (name != "on-failure" && policy.maximum_retry_count() != 0) {
    return absl::InvalidArgumentError(
        "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  if (policy.maximum_retry_count() < 0) {
    return absl::InvalidArgumentError(
        "invalid restart policy: maximum retry count cannot be negative");
  }
  if (auto_remove) {
    return absl::InvalidArgumentError("can't create 'AutoRemove' container with restart policy");
  }
  return absl::OkStatus();
}

absl::Status CheckHostConfig(const v1::HostConfig& host) {
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode network, ParseNetworkMode(host.network_mode()));
  BERTH_RETURN_IF_ERROR(ParseIpcMode(host.ipc_mode()).status());
  BERTH_RETURN_IF_ERROR(ParsePidMode(host.pid_mode()).status());
  BERTH_RETURN_IF_ERROR(ParseUtsMode(host.uts_mode()).status());
  BERTH_RETURN_IF_ERROR(ParseCgroupnsMode(host.cgroupns_mode()).status());
  BERTH_RETURN_IF_ERROR(CheckUsernsMode(host.userns_mode()));
  BERTH_RETURN_IF_ERROR(CheckRestartPolicy(host.restart_policy(), host.auto_remove()));
  BERTH_RETURN_IF_ERROR(CheckResources(host.resources()));
  BERTH_RETURN_IF_ERROR(CheckMounts(host));
  BERTH_RETURN_IF_ERROR(CheckLog(host.log()));
  if (host.port_bindings_size() > 0 || host.publish_all_ports()) {
    return absl::UnimplementedError(
        "-p, -P: this release cannot publish ports; use --network host");
  }
  if (host.shm_size_bytes() < 0) {
    return absl::InvalidArgumentError("SHM size can not be less than 0");
  }
  if (network.kind == Kind::kContainer && !host.dns().empty()) {
    return absl::InvalidArgumentError("conflicting options: dns and the network mode");
  }
  if (network.kind == Kind::kContainer && !host.extra_hosts().empty()) {
    return absl::InvalidArgumentError(
        "conflicting options: custom host-to-IP mapping and the network mode");
  }
  return absl::OkStatus();
}

}  // namespace berth::engine
