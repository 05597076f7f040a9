#include "server/engine/inspect_document.h"

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/engine/status_text.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kNoTime[] = "0001-01-01T00:00:00Z";

std::string TimeText(bool is_set, const google::protobuf::Timestamp& time) {  // NOLINT
  if (!is_set) return kNoTime;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", metadata::FromTimestamp(time),
                          absl::UTCTimeZone());
}

template <typename List>
Json Strings(const List& list) {
  Json result = Json::array();
  for (const std::string& text : list) result.push_back(text);
  return result;
}

template <typename List>
Json StringsOrNull(const List& list) {
  return list.empty() ? Json() : Strings(list);
}

// In the order of the keys, as every time.
template <typename Map>
Json Object(const Map& map) {
  return Json(std::map<std::string, std::string>(map.begin(), map.end()));
}

int64_t Nanoseconds(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1'000'000'000 + duration.nanos();
}

Json HealthJson(const InspectInput& input) {
  const v1::State& state = input.container.state();
  Json health = {{"Status", state.health()}, {"FailingStreak", 0}, {"Log", Json::array()}};
  if (!input.health.has_value()) return health;
  health["FailingStreak"] = input.health->failing_streak();
  for (const auto& result : input.health->results()) {
    health["Log"].push_back({{"Start", TimeText(true, result.start())},
                             {"End", TimeText(true, result.end())},
                             {"ExitCode", result.exit_code()},
                             {"Output", result.output()}});
  }
  return health;
}

Json StateJson(const InspectInput& input) {
  const v1::State& state = input.container.state();
  const v1::Status status = state.status();
  Json json = {{"Status", std::string(StatusWord(status))},
               {"Running", status == v1::STATUS_RUNNING || status == v1::STATUS_PAUSED ||
                               status == v1::STATUS_RESTARTING},
               {"Paused", status == v1::STATUS_PAUSED},
               {"Restarting", status == v1::STATUS_RESTARTING},
               {"OOMKilled", state.oom_killed()},
               {"Dead", status == v1::STATUS_DEAD},
               {"Pid", state.pid()},
               {"ExitCode", state.exit_code()},
               {"Error", state.error()},
               {"StartedAt", TimeText(state.has_started_at(), state.started_at())},
               {"FinishedAt", TimeText(state.has_finished_at(), state.finished_at())}};
  if (!state.health().empty()) json["Health"] = HealthJson(input);
  return json;
}

Json HealthcheckJson(const v1::Healthcheck& check) {
  Json json = {{"Test", Strings(check.test())}};
  if (check.has_interval()) json["Interval"] = Nanoseconds(check.interval());
  if (check.has_timeout()) json["Timeout"] = Nanoseconds(check.timeout());
  if (check.has_start_period()) json["StartPeriod"] = Nanoseconds(check.start_period());
  if (check.has_start_interval()) json["StartInterval"] = Nanoseconds(check.start_interval());
  if (check.retries() > 0) json["Retries"] = check.retries();
  return json;
}

Json ConfigJson(const InspectInput& input) {
  const v1::ContainerConfig& config = input.container.config();
  Json json = {{"Hostname", config.hostname().empty() ? input.id.substr(0, 12) : config.hostname()},
               {"Domainname", config.domainname()},
               {"User", config.user()},
               {"AttachStdin", config.attach_stdin()},
               {"AttachStdout", config.attach_stdout()},
               {"AttachStderr", config.attach_stderr()},
               {"Tty", config.terminal()},
               {"OpenStdin", config.open_stdin()},
               {"StdinOnce", config.stdin_once()},
               {"Env", Strings(config.environment())},
               {"Cmd", StringsOrNull(config.command())}};
  if (config.has_healthcheck()) json["Healthcheck"] = HealthcheckJson(config.healthcheck());
  json["Image"] = config.image();
  json["Volumes"] = nullptr;
  for (const std::string& path : config.anonymous_volumes()) json["Volumes"][path] = Json::object();
  json["WorkingDir"] = config.working_directory();
  json["Entrypoint"] = StringsOrNull(config.entrypoint());
  json["OnBuild"] = nullptr;
  json["Labels"] = Object(config.labels());
  if (!config.exposed_ports().empty()) {
    for (const std::string& port : config.exposed_ports()) {
      json["ExposedPorts"][port] = Json::object();
    }
  }
  if (!config.stop_signal().empty()) json["StopSignal"] = config.stop_signal();
  if (config.has_stop_timeout_seconds()) json["StopTimeout"] = config.stop_timeout_seconds();
  return json;
}

const char* MountTypeWord(v1::Mount::Type type) {
  if (type == v1::Mount::TYPE_BIND) return "bind";
  return type == v1::Mount::TYPE_TMPFS ? "tmpfs" : "volume";
}

void AddResources(const v1::Resources& r, Json& json) {
  json["CpuShares"] = r.cpu_shares();
  json["Memory"] = r.memory_bytes();
  json["NanoCpus"] = r.nano_cpus();
  json["BlkioWeight"] = r.blkio_weight();
  json["CpuPeriod"] = r.cpu_period();
  json["CpuQuota"] = r.cpu_quota();
  json["CpuRealtimePeriod"] = r.cpu_realtime_period();
  json["CpuRealtimeRuntime"] = r.cpu_realtime_runtime();
  json["CpusetCpus"] = r.cpuset_cpus();
  json["CpusetMems"] = r.cpuset_mems();
  json["MemoryReservation"] = r.memory_reservation_bytes();
  json["MemorySwap"] = r.memory_swap_bytes() == 0 && r.memory_bytes() > 0 ? 2 * r.memory_bytes()
                                                                          : r.memory_swap_bytes();
  json["MemorySwappiness"] = nullptr;
  if (r.has_memory_swappiness()) json["MemorySwappiness"] = r.memory_swappiness();
  json["OomKillDisable"] = r.oom_kill_disable();
  json["PidsLimit"] = nullptr;
  if (r.has_pids_limit()) json["PidsLimit"] = r.pids_limit();
}

Json BindTexts(const InspectInput& input) {
  Json binds = Json::array();
  for (const v1::MountPoint& point : input.container.mounts()) {
    if (point.anonymous() || point.type() == v1::Mount::TYPE_TMPFS) continue;
    const std::string& source =
        point.type() == v1::Mount::TYPE_VOLUME ? point.name() : point.source();
    binds.push_back(absl::StrCat(source, ":", point.destination(), point.writable() ? "" : ":ro"));
  }
  return binds.empty() ? Json() : binds;
}

Json HostConfigJson(const InspectInput& input) {
  const v1::HostConfig& host = input.container.host_config();
  Json json = {
      {"Binds", BindTexts(input)},
      {"ContainerIDFile", host.container_id_file()},
      {"LogConfig", {{"Type", host.log().driver()}, {"Config", Object(host.log().options())}}},
      {"NetworkMode", host.network_mode()},
      {"PortBindings", Json::object()},
      {"RestartPolicy",
       {{"Name", host.restart_policy().name()},
        {"MaximumRetryCount", host.restart_policy().maximum_retry_count()}}},
      {"AutoRemove", host.auto_remove()},
      {"VolumeDriver", ""},
      {"VolumesFrom", StringsOrNull(host.volumes_from())},
      {"CapAdd", StringsOrNull(host.cap_add())},
      {"CapDrop", StringsOrNull(host.cap_drop())},
      {"CgroupnsMode", host.cgroupns_mode()},
      {"Dns", Strings(host.dns())},
      {"DnsOptions", Strings(host.dns_options())},
      {"DnsSearch", Strings(host.dns_search())},
      {"ExtraHosts", StringsOrNull(host.extra_hosts())},
      {"GroupAdd", StringsOrNull(host.group_add())},
      {"IpcMode", host.ipc_mode()},
      {"Links", nullptr},
      {"OomScoreAdj", host.oom_score_adj()},
      {"PidMode", host.pid_mode()},
      {"Privileged", host.privileged()},
      {"PublishAllPorts", host.publish_all_ports()},
      {"ReadonlyRootfs", host.read_only_root()},
      {"SecurityOpt", StringsOrNull(host.security_options())},
      {"UTSMode", host.uts_mode()},
      {"UsernsMode", host.userns_mode()},
      {"ShmSize", host.shm_size_bytes()},
      {"Runtime", host.runtime().empty() ? "berth" : host.runtime()},
      {"Isolation", ""}};
  AddResources(host.resources(), json);
  json["CgroupParent"] = host.cgroup_parent();
  json["Init"] = nullptr;
  if (host.has_init()) json["Init"] = host.init();
  json["Devices"] = Json::array();
  for (const v1::DeviceMapping& device : host.devices()) {
    json["Devices"].push_back(
        {{"PathOnHost", device.host_path()},
         {"PathInContainer",
          device.container_path().empty() ? device.host_path() : device.container_path()},
         {"CgroupPermissions", device.permissions().empty() ? "rwm" : device.permissions()}});
  }
  json["DeviceCgroupRules"] = StringsOrNull(host.device_cgroup_rules());
  json["Ulimits"] = Json::array();
  for (const v1::Ulimit& limit : host.ulimits()) {
    json["Ulimits"].push_back(
        {{"Name", limit.name()}, {"Hard", limit.hard()}, {"Soft", limit.soft()}});
  }
  if (!host.sysctls().empty()) json["Sysctls"] = Object(host.sysctls());
  json["StorageOpt"] = nullptr;
  if (!host.storage_options().empty()) json["StorageOpt"] = Object(host.storage_options());
  for (const v1::Mount& mount : host.mounts()) {
    if (mount.type() != v1::Mount::TYPE_TMPFS) continue;
    std::string options;
    for (const std::string& word : mount.tmpfs_options()) {
      absl::StrAppend(&options, options.empty() ? "" : ",", word);
    }
    json["Tmpfs"][mount.target()] = options;
  }
  return json;
}

Json MountsJson(const InspectInput& input) {
  Json mounts = Json::array();
  for (const v1::MountPoint& point : input.container.mounts()) {
    Json json = {{"Type", MountTypeWord(point.type())}};
    if (!point.name().empty()) json["Name"] = point.name();
    json["Source"] = point.source();
    json["Destination"] = point.destination();
    if (!point.driver().empty()) json["Driver"] = point.driver();
    json["Mode"] = point.writable() ? "" : "ro";
    json["RW"] = point.writable();
    json["Propagation"] = point.propagation();
    mounts.push_back(std::move(json));
  }
  for (const v1::Mount& mount : input.container.host_config().mounts()) {
    if (mount.type() != v1::Mount::TYPE_TMPFS) continue;
    mounts.push_back({{"Type", "tmpfs"},
                      {"Source", ""},
                      {"Destination", mount.target()},
                      {"Mode", ""},
                      {"RW", !mount.read_only()},
                      {"Propagation", ""}});
  }
  return mounts;
}

Json NetworkJson(const InspectInput& input) {
  const std::string& mode = input.container.host_config().network_mode();
  Json json = {{"SandboxID", ""},
               {"SandboxKey", ""},
               {"Ports", Json::object()},
               {"EndpointID", ""},
               {"Gateway", ""},
               {"GlobalIPv6Address", ""},
               {"IPAddress", ""},
               {"IPPrefixLen", 0},
               {"IPv6Gateway", ""},
               {"MacAddress", ""},
               {"Networks", Json::object()}};
  const uint32_t pid = input.container.state().pid();
  if (pid > 0) json["SandboxKey"] = absl::StrCat("/proc/", pid, "/ns/net");
  if (!absl::StartsWith(mode, "container:")) {
    json["Networks"][mode == "default" || mode.empty() ? "none" : mode] = {
        {"IPAMConfig", nullptr}, {"Links", nullptr},  {"Aliases", nullptr}, {"MacAddress", ""},
        {"NetworkID", ""},       {"EndpointID", ""},  {"Gateway", ""},      {"IPAddress", ""},
        {"IPPrefixLen", 0},      {"IPv6Gateway", ""}, {"DNSNames", nullptr}};
  }
  return json;
}

}  // namespace

std::string InspectDocument(const InspectInput& input) {
  const v1::Container& container = input.container;
  Json arguments = Json::array();
  for (int i = 1; i < container.arguments_size(); ++i) arguments.push_back(container.arguments(i));
  Json json = {{"Id", input.id},
               {"Created", TimeText(true, container.created_at())},
               {"Path", container.arguments_size() > 0 ? container.arguments(0) : ""},
               {"Args", std::move(arguments)},
               {"State", StateJson(input)},
               {"Image", container.image_id()},
               {"ResolvConfPath", container.directory() + "/resolv.conf"},
               {"HostnamePath", container.directory() + "/hostname"},
               {"HostsPath", container.directory() + "/hosts"},
               {"LogPath", container.log_path()},
               {"Name", "/" + container.name()},
               {"RestartCount", container.state().restart_count()},
               {"Driver", container.snapshotter()},
               {"Platform", container.platform().substr(0, container.platform().find('/'))},
               {"MountLabel", ""},
               {"ProcessLabel", ""},
               {"AppArmorProfile", ""},
               {"ExecIDs", input.exec_ids.empty() ? Json() : Strings(input.exec_ids)},
               {"HostConfig", HostConfigJson(input)},
               {"GraphDriver", {{"Data", Json::object()}, {"Name", container.snapshotter()}}}};
  for (const auto& [key, value] : input.graph_data) json["GraphDriver"]["Data"][key] = value;
  if (input.size_rw_bytes.has_value()) json["SizeRw"] = *input.size_rw_bytes;
  if (input.size_root_bytes.has_value()) json["SizeRootFs"] = *input.size_root_bytes;
  json["Mounts"] = MountsJson(input);
  json["Config"] = ConfigJson(input);
  json["NetworkSettings"] = NetworkJson(input);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace berth::engine
