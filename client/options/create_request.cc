#include "client/options/create_request.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/options/mount_syntax.h"
#include "client/options/value_syntax.h"
#include "client/sdk/quantities.h"

namespace berth::client {

namespace engine = ::berth::engine::v1;

namespace {

using Strings = std::vector<std::string>;

absl::Status Fault(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status BadValue(absl::string_view option, absl::string_view value, const absl::Status& why) {
  return Fault(absl::StrCat("\"", value, "\" is no value for ", option, ": ", why.message()));
}

// Parses the value of `option` unless it is empty, and hands it to `set`.
template <typename Parse, typename Set>
absl::Status Take(absl::string_view option, const std::string& text, Parse parse, Set set) {
  if (text.empty()) return absl::OkStatus();
  auto value = parse(text);
  if (!value.ok()) return BadValue(option, text, value.status());
  set(*std::move(value));
  return absl::OkStatus();
}

template <typename Parse, typename Set>
absl::Status TakeEach(absl::string_view option, const Strings& texts, Parse parse, Set set) {
  for (const std::string& text : texts) {
    auto value = parse(text);
    if (!value.ok()) return BadValue(option, text, value.status());
    set(*std::move(value));
  }
  return absl::OkStatus();
}

template <typename Map>
absl::Status TakePairs(absl::string_view option, const Strings& texts, Map& map) {
  return TakeEach(option, texts, ParseKeyValue,
                  [&](std::pair<std::string, std::string> pair) { map[pair.first] = pair.second; });
}

template <typename Message>
void Append(google::protobuf::RepeatedPtrField<Message>& list, Message message) {
  *list.Add() = std::move(message);
}

// Lines of a file without comments and empty ones.
absl::StatusOr<Strings> ReadLines(absl::string_view option, const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 20), _ << option);
  Strings lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripLeadingAsciiWhitespace(absl::StripSuffix(line, "\r"));
    if (line.empty() || line[0] == '#') continue;
    const absl::string_view key = line.substr(0, line.find('='));
    if (key.empty() || key.find_first_of(" \t") != absl::string_view::npos) {
      return Fault(
          absl::StrCat(option, " ", path, ": the name in \"", line, "\" is empty or has a space"));
    }
    lines.push_back(std::string(line));
  }
  return lines;
}

absl::Status CheckMode(absl::string_view option, absl::string_view value, const Strings& words) {
  for (const std::string& word : words) {
    const bool is_prefix = absl::EndsWith(word, ":");
    if (value == word || (is_prefix && absl::StartsWith(value, word) && value.size() > word.size()))
      return absl::OkStatus();
  }
  return Fault(absl::StrCat("\"", value, "\" is no value for ", option, ": expected ",
                            absl::StrJoin(words, ", "), " (after : a container)"));
}

absl::Status FillHealth(const CreateOptions& options, engine::ContainerConfig& config) {
  const bool has_timing = !options.health_interval.empty() || !options.health_timeout.empty() ||
                          !options.health_start_period.empty() ||
                          !options.health_start_interval.empty() || options.health_retries != 0;
  if (options.has_no_healthcheck) {
    if (options.health_command.has_value() || has_timing) {
      return Fault("--no-healthcheck contradicts the --health options");
    }
    config.mutable_healthcheck()->add_test("NONE");
    return absl::OkStatus();
  }
  if (!options.health_command.has_value() && !has_timing) return absl::OkStatus();
  engine::Healthcheck& health = *config.mutable_healthcheck();
  if (options.health_command.has_value() && !options.health_command->empty()) {
    health.add_test("CMD-SHELL");
    health.add_test(*options.health_command);
  }
  if (options.health_retries < 0) return Fault("--health-retries must not be negative");
  health.set_retries(options.health_retries);
  const auto take = [](absl::string_view option, const std::string& text,
                       google::protobuf::Duration* (engine::Healthcheck::*field)(),
                       engine::Healthcheck& target) {
    return Take(option, text, ParseDuration, [&](absl::Duration duration) {
      google::protobuf::Duration& out = *(target.*field)();
      out.set_seconds(absl::ToInt64Seconds(duration));
      out.set_nanos(
          static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(out.seconds()))));
    });
  };
  using H = engine::Healthcheck;
  BERTH_RETURN_IF_ERROR(
      take("--health-interval", options.health_interval, &H::mutable_interval, health));
  BERTH_RETURN_IF_ERROR(
      take("--health-timeout", options.health_timeout, &H::mutable_timeout, health));
  BERTH_RETURN_IF_ERROR(
      take("--health-start-period", options.health_start_period, &H::mutable_start_period, health));
  return take("--health-start-interval", options.health_start_interval, &H::mutable_start_interval,
              health);
}

absl::Status FillLabels(const CreateOptions& options, engine::ContainerConfig& config) {
  for (const std::string& path : options.label_files) {
    BERTH_ASSIGN_OR_RETURN(const Strings lines, ReadLines("--label-file", path));
    BERTH_RETURN_IF_ERROR(TakePairs("--label-file", lines, *config.mutable_labels()));
  }
  return TakePairs("--label", options.labels, *config.mutable_labels());
}

absl::Status FillConfig(const CreateOptions& options, const CreateSurroundings& surroundings,
                        engine::ContainerConfig& config) {
  config.set_image(options.words[0]);
  for (size_t i = 1; i < options.words.size(); ++i) config.add_command(options.words[i]);
  if (options.entrypoint.has_value()) {
    if (options.entrypoint->empty()) {
      config.set_clear_entrypoint(true);
    } else {
      config.add_entrypoint(*options.entrypoint);
    }
  }
  BERTH_ASSIGN_OR_RETURN(
      const Strings environment,
      ResolveEnvironment(options.environment_files, options.environment, surroundings.environment));
  for (const std::string& entry : environment) config.add_environment(entry);
  BERTH_RETURN_IF_ERROR(FillLabels(options, config));
  config.set_working_directory(options.working_directory);
  config.set_user(options.user);
  config.set_hostname(options.hostname);
  config.set_domainname(options.domainname);
  config.set_terminal(options.has_terminal);
  config.set_open_stdin(options.is_interactive);
  if (!options.stop_signal.empty()) {
    absl::StatusOr<int> signal = ParseSignal(options.stop_signal);
    if (!signal.ok()) return BadValue("--stop-signal", options.stop_signal, signal.status());
    config.set_stop_signal(options.stop_signal);
  }
  if (options.stop_timeout.has_value()) {
    if (*options.stop_timeout < -1) return Fault("--stop-timeout is -1 or more");
    config.set_stop_timeout_seconds(*options.stop_timeout);
  }
  for (const std::string& port : options.expose) {
    const auto ports = ParsePort(port);
    if (!ports.ok()) return BadValue("--expose", port, ports.status());
    for (const engine::PortBinding& one : *ports) config.add_exposed_ports(one.container_port());
  }
  return FillHealth(options, config);
}

absl::Status FillMounts(const CreateOptions& options, const std::string& working_directory,
                        engine::ContainerConfig& config, engine::HostConfig& host) {
  std::set<std::string> targets;
  absl::Status duplicate;
  const auto add = [&](engine::Mount mount) {
    const std::string target(absl::StripSuffix(mount.target(), "/"));
    if (!targets.insert(target).second) {
      duplicate = Fault(absl::StrCat("Duplicate mount point: ", mount.target()));
    }
    const bool is_anonymous = mount.type() == engine::Mount::TYPE_VOLUME && mount.source().empty();
    if (is_anonymous && mount.ByteSizeLong() == [&] {
          engine::Mount plain;
          plain.set_type(engine::Mount::TYPE_VOLUME);
          plain.set_target(mount.target());
          return plain.ByteSizeLong();
        }()) {
      config.add_anonymous_volumes(mount.target());
    } else {
      Append(*host.mutable_mounts(), std::move(mount));
    }
  };
  const auto volume = [&](absl::string_view text) {
    return ParseVolumeOption(text, working_directory);
  };
  const auto mount = [&](absl::string_view text) {
    return ParseMountOption(text, working_directory);
  };
  BERTH_RETURN_IF_ERROR(TakeEach("--volume", options.volumes, volume, add));
  BERTH_RETURN_IF_ERROR(TakeEach("--mount", options.mounts, mount, add));
  BERTH_RETURN_IF_ERROR(TakeEach("--tmpfs", options.tmpfs, ParseTmpfsOption, add));
  for (const std::string& word : options.volumes_from) host.add_volumes_from(word);
  return duplicate;
}

absl::Status FillResources(const CreateOptions& options, engine::Resources& r) {
  const auto size = [](absl::string_view option, const std::string& text, auto parse, auto set) {
    return Take(option, text, parse, set);
  };
  BERTH_RETURN_IF_ERROR(size("--memory", options.memory, ParseByteSize,
                             [&](int64_t bytes) { r.set_memory_bytes(bytes); }));
  BERTH_RETURN_IF_ERROR(size("--memory-swap", options.memory_swap, ParseByteSizeOrUnlimited,
                             [&](int64_t bytes) { r.set_memory_swap_bytes(bytes); }));
  BERTH_RETURN_IF_ERROR(size("--memory-reservation", options.memory_reservation, ParseByteSize,
                             [&](int64_t bytes) { r.set_memory_reservation_bytes(bytes); }));
  BERTH_RETURN_IF_ERROR(
      Take("--cpus", options.cpus, ParseNanoCpus, [&](int64_t nanos) { r.set_nano_cpus(nanos); }));
  if (!options.cpus.empty() && (options.cpu_quota != 0 || options.cpu_period != 0)) {
    return Fault("--cpus contradicts --cpu-quota and --cpu-period");
  }
  if (options.memory_swappiness.has_value()) r.set_memory_swappiness(*options.memory_swappiness);
  if (options.pids_limit.has_value()) r.set_pids_limit(*options.pids_limit);
  if (options.blkio_weight != 0 && (options.blkio_weight < 10 || options.blkio_weight > 1000)) {
    return Fault("--blkio-weight is from 10 to 1000");
  }
  r.set_cpu_shares(options.cpu_shares);
  r.set_cpu_quota(options.cpu_quota);
  r.set_cpu_period(options.cpu_period);
  r.set_cpuset_cpus(options.cpuset_cpus);
  r.set_cpuset_mems(options.cpuset_mems);
  r.set_blkio_weight(static_cast<uint32_t>(options.blkio_weight));
  if (options.oom_kill_disable.has_value()) r.set_oom_kill_disable(*options.oom_kill_disable);
  const auto into = [](auto* list) {
    return [list](auto message) { *list->Add() = std::move(message); };
  };
  BERTH_RETURN_IF_ERROR(TakeEach("--blkio-weight-device", options.blkio_weight_devices,
                                 ParseWeightDevice, into(r.mutable_blkio_weight_devices())));
  BERTH_RETURN_IF_ERROR(TakeEach("--device-read-bps", options.read_bps, ParseThrottleBytes,
                                 into(r.mutable_blkio_read_bps())));
  BERTH_RETURN_IF_ERROR(TakeEach("--device-write-bps", options.write_bps, ParseThrottleBytes,
                                 into(r.mutable_blkio_write_bps())));
  BERTH_RETURN_IF_ERROR(TakeEach("--device-read-iops", options.read_iops, ParseThrottleOperations,
                                 into(r.mutable_blkio_read_iops())));
  return TakeEach("--device-write-iops", options.write_iops, ParseThrottleOperations,
                  into(r.mutable_blkio_write_iops()));
}

// A profile of seccomp is a file of the client: the server gets what is in it.
absl::StatusOr<std::string> ResolveSecurityOption(const std::string& text) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits(absl::ByAnyChar("=:"), 1));
  const std::string& name = parts.first;
  if (name == "no-new-privileges" || name == "apparmor" || name == "label" ||
      name == "systempaths") {
    return text;
  }
  if (name != "seccomp") {
    return Fault("expected seccomp=, no-new-privileges, apparmor=, label= or systempaths=");
  }
  if (parts.second == "unconfined" || parts.second == "builtin" || parts.second.empty()) {
    return absl::StrCat("seccomp=", parts.second);
  }
  BERTH_ASSIGN_OR_RETURN(const std::string profile, ReadFile(parts.second, 4 << 20),
                         _ << "the profile");
  return absl::StrCat("seccomp=", profile);
}

absl::Status FillModes(const CreateOptions& options, engine::HostConfig& host) {
  const struct {
    const char* option;
    const std::string& value;
    Strings words;
  } kModes[] = {
      {"--ipc", options.ipc, {"private", "shareable", "host", "none", "container:"}},
      {"--pid", options.pid, {"host", "container:"}},
      {"--uts", options.uts, {"host"}},
      {"--userns", options.userns, {"host"}},
      {"--cgroupns", options.cgroupns, {"private", "host"}},
      {"--pull", options.pull, {"always", "missing", "never"}},
  };
  for (const auto& mode : kModes) {
    if (mode.value.empty()) continue;
    BERTH_RETURN_IF_ERROR(CheckMode(mode.option, mode.value, mode.words));
  }
  host.set_ipc_mode(options.ipc);
  host.set_pid_mode(options.pid);
  host.set_uts_mode(options.uts);
  host.set_userns_mode(options.userns);
  host.set_cgroupns_mode(options.cgroupns);
  return absl::OkStatus();
}

absl::Status FillSecurity(const CreateOptions& options, engine::HostConfig& host) {
  host.set_privileged(options.is_privileged);
  host.set_read_only_root(options.is_read_only);
  for (const std::string& word : options.cap_add) host.add_cap_add(word);
  for (const std::string& word : options.cap_drop) host.add_cap_drop(word);
  for (const std::string& word : options.group_add) host.add_group_add(word);
  for (const std::string& word : options.device_cgroup_rules) host.add_device_cgroup_rules(word);
  BERTH_RETURN_IF_ERROR(
      TakeEach("--security-opt", options.security_options, ResolveSecurityOption,
               [&](std::string text) { host.add_security_options(std::move(text)); }));
  BERTH_RETURN_IF_ERROR(TakePairs("--sysctl", options.sysctls, *host.mutable_sysctls()));
  BERTH_RETURN_IF_ERROR(TakeEach(
      "--device", options.devices, ParseDevice,
      [&](engine::DeviceMapping device) { Append(*host.mutable_devices(), std::move(device)); }));
  return FillModes(options, host);
}

absl::Status FillNetwork(const CreateOptions& options, engine::HostConfig& host) {
  host.set_network_mode(options.network);
  BERTH_RETURN_IF_ERROR(TakeEach("--dns", options.dns, ParseAddress,
                                 [&](std::string word) { host.add_dns(std::move(word)); }));
  for (const std::string& word : options.dns_search) host.add_dns_search(word);
  for (const std::string& word : options.dns_options) host.add_dns_options(word);
  host.set_publish_all_ports(options.publishes_all);
  BERTH_RETURN_IF_ERROR(TakeEach("--add-host", options.extra_hosts, ParseExtraHost,
                                 [&](std::string line) { host.add_extra_hosts(std::move(line)); }));
  return TakeEach("--publish", options.publish, ParsePort,
                  [&](std::vector<engine::PortBinding> bindings) {
                    for (engine::PortBinding& one : bindings) {
                      Append(*host.mutable_port_bindings(), std::move(one));
                    }
                  });
}

absl::Status FillHost(const CreateOptions& options, engine::HostConfig& host) {
  BERTH_RETURN_IF_ERROR(FillResources(options, *host.mutable_resources()));
  BERTH_RETURN_IF_ERROR(FillSecurity(options, host));
  BERTH_RETURN_IF_ERROR(FillNetwork(options, host));
  BERTH_RETURN_IF_ERROR(Take(
      "--restart", options.restart, ParseRestartPolicy,
      [&](engine::RestartPolicy policy) { *host.mutable_restart_policy() = std::move(policy); }));
  host.set_auto_remove(options.removes);
  const std::string& restart = host.restart_policy().name();
  if (options.removes && !restart.empty() && restart != "no") {
    return Fault("--rm contradicts --restart: a container that is removed cannot start again");
  }
  BERTH_RETURN_IF_ERROR(
      TakeEach("--ulimit", options.ulimits, ParseUlimit,
               [&](engine::Ulimit limit) { Append(*host.mutable_ulimits(), std::move(limit)); }));
  BERTH_RETURN_IF_ERROR(Take("--shm-size", options.shm_size, ParseByteSize,
                             [&](int64_t bytes) { host.set_shm_size_bytes(bytes); }));
  if (options.log_driver == "none" && !options.log_options.empty()) {
    return Fault("--log-opt: the driver none has no options");
  }
  host.mutable_log()->set_driver(options.log_driver);
  BERTH_RETURN_IF_ERROR(
      TakePairs("--log-opt", options.log_options, *host.mutable_log()->mutable_options()));
  BERTH_RETURN_IF_ERROR(
      TakePairs("--storage-opt", options.storage_options, *host.mutable_storage_options()));
  BERTH_RETURN_IF_ERROR(
      TakePairs("--annotation", options.annotations, *host.mutable_annotations()));
  if (options.init.has_value()) host.set_init(*options.init);
  if (options.oom_score_adj.has_value()) {
    if (*options.oom_score_adj < -1000 || *options.oom_score_adj > 1000) {
      return Fault("--oom-score-adj is from -1000 to 1000");
    }
    host.set_oom_score_adj(*options.oom_score_adj);
  }
  host.set_runtime(options.runtime);
  host.set_cgroup_parent(options.cgroup_parent);
  host.set_container_id_file(options.container_id_file);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Strings> ResolveEnvironment(const Strings& files, const Strings& entries,
                                           const std::map<std::string, std::string>& inherited) {
  Strings all;
  for (const std::string& path : files) {
    BERTH_ASSIGN_OR_RETURN(const Strings lines, ReadLines("--env-file", path));
    all.insert(all.end(), lines.begin(), lines.end());
  }
  all.insert(all.end(), entries.begin(), entries.end());
  for (std::string& entry : all) {
    if (entry.empty() || entry[0] == '=') {
      return BadValue("--env", entry, Fault("expected KEY=VALUE or KEY"));
    }
    if (absl::StrContains(entry, '=')) continue;
    const auto own = inherited.find(entry);
    if (own != inherited.end()) absl::StrAppend(&entry, "=", own->second);
  }
  return all;
}

absl::StatusOr<engine::CreateContainerRequest> MakeCreateRequest(
    const CreateOptions& options, const CreateSurroundings& surroundings) {
  if (options.words.empty() || options.words[0].empty()) return Fault("the image is missing");
  engine::CreateContainerRequest request;
  request.set_name(options.name);
  request.set_platform(options.platform);
  BERTH_RETURN_IF_ERROR(FillConfig(options, surroundings, *request.mutable_config()));
  BERTH_RETURN_IF_ERROR(FillMounts(options, surroundings.working_directory,
                                   *request.mutable_config(), *request.mutable_host_config()));
  BERTH_RETURN_IF_ERROR(FillHost(options, *request.mutable_host_config()));
  return request;
}

}  // namespace berth::client
