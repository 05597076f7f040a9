#include "server/engine/spec_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/oci/user_lookup.h"
#include "base/status/status_macros.h"
#include "server/engine/init_program.h"
#include "server/engine/modes.h"
#include "server/engine/spec_devices.h"
#include "server/engine/spec_mounts.h"
#include "server/engine/spec_resources.h"
#include "server/engine/spec_security.h"

namespace berth::engine {
namespace {

using oci::Json;
using Kind = NamespaceMode::Kind;

constexpr char kPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kMaskedPaths[] = {"/proc/acpi",
                                        "/proc/asound",
                                        "/proc/interrupts",
                                        "/proc/kcore",
                                        "/proc/keys",
                                        "/proc/latency_stats",
                                        "/proc/sched_debug",
                                        "/proc/scsi",
                                        "/proc/timer_list",
                                        "/proc/timer_stats",
                                        "/sys/devices/virtual/powercap",
                                        "/sys/firmware"};
constexpr const char* kReadonlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

absl::string_view KeyOf(absl::string_view entry) { return entry.substr(0, entry.find('=')); }

bool HasKey(const std::vector<std::string>& environment, absl::string_view key) {
  return std::any_of(environment.begin(), environment.end(),
                     [&](const std::string& entry) { return KeyOf(entry) == key; });
}

// A later entry of a key replaces the earlier one in its place; a key alone takes it away.
void SetEntry(std::vector<std::string>& environment, const std::string& entry) {
  const absl::string_view key = KeyOf(entry);
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& other) { return KeyOf(other) == key; });
  const bool removes = !absl::StrContains(entry, '=');
  if (found == environment.end()) {
    if (!removes) environment.push_back(entry);
  } else if (removes) {
    environment.erase(found);
  } else {
    *found = entry;
  }
}

std::string HostnameOf(const SpecInput& input) {
  const std::string& own = input.container.config().hostname();
  if (!own.empty()) return own;
  if (input.container.host_config().network_mode() == "host") return input.host_name;
  return input.id.substr(0, 12);
}

std::vector<std::string> EnvironmentOf(const SpecInput& input, bool has_terminal,  // NOLINT
                                       absl::string_view home) {
  std::vector<std::string> environment = {absl::StrCat("PATH=", kPath),
                                          absl::StrCat("HOSTNAME=", HostnameOf(input))};
  if (has_terminal) environment.push_back("TERM=xterm");
  for (const std::string& entry : input.container.config().environment()) {
    SetEntry(environment, entry);
  }
  if (!HasKey(environment, "HOME")) environment.push_back(absl::StrCat("HOME=", home));
  return environment;
}

absl::StatusOr<oci::ProcessUser> UserOf(const SpecInput& input, const std::string& user) {
  BERTH_ASSIGN_OR_RETURN(oci::ProcessUser result, oci::LookUpUser(user, input.passwd, input.group),
                         _ << "unable to find user " << user);
  for (const std::string& group : input.container.host_config().group_add()) {
    BERTH_ASSIGN_OR_RETURN(const oci::ProcessUser with_group,
                           oci::LookUpUser(absl::StrCat("0:", group), input.passwd, input.group),
                           _ << "Unable to find group " << group);
    result.additional_gids.push_back(with_group.gid);
  }
  return result;
}

void SetUser(const oci::ProcessUser& user, Json& process) {
  process["user"] = {{"uid", user.uid}, {"gid", user.gid}};
  if (!user.additional_gids.empty()) process["user"]["additionalGids"] = user.additional_gids;
}

// A user other than root starts with no capability in force and can gain them back by setuid
// programs only, within the bounding set.
void SetCapabilities(const std::vector<std::string>& capabilities, const oci::ProcessUser& user,
                     Json& process) {
  const std::vector<std::string> in_force =
      user.uid == 0 ? capabilities : std::vector<std::string>();
  process["capabilities"] = {
      {"bounding", capabilities}, {"effective", in_force}, {"permitted", in_force}};
}

void SetTerminal(const SpecInput& input, Json& process) {
  process["terminal"] = true;
  if (input.terminal_columns > 0 && input.terminal_rows > 0) {
    process["consoleSize"] = {{"height", input.terminal_rows}, {"width", input.terminal_columns}};
  }
}

absl::Status SetUlimits(const v1::HostConfig& host, Json& process) {
  for (const v1::Ulimit& limit : host.ulimits()) {
    if (limit.soft() > limit.hard() && limit.hard() != -1) {
      return absl::InvalidArgumentError(
          absl::StrCat("ulimit soft limit must be less than or equal to hard limit: ", limit.soft(),
                       " > ", limit.hard()));
    }
    process["rlimits"].push_back(
        {{"type", absl::StrCat("RLIMIT_", absl::AsciiStrToUpper(limit.name()))},
         {"soft", static_cast<uint64_t>(limit.soft())},
         {"hard", static_cast<uint64_t>(limit.hard())}});
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> Process(const SpecInput& input, const SecuritySpec& security) {
  const v1::ContainerConfig& config = input.container.config();
  const v1::HostConfig& host = input.container.host_config();
  Json process = Json::object();
  if (config.terminal()) SetTerminal(input, process);
  BERTH_ASSIGN_OR_RETURN(const oci::ProcessUser user, UserOf(input, config.user()));
  SetUser(user, process);
  std::vector<std::string> arguments;
  if (!input.init_path.empty()) arguments = {InitProgram::kDestination, "--"};
  arguments.insert(arguments.end(), input.container.arguments().begin(),
                   input.container.arguments().end());
  process["args"] = std::move(arguments);
  process["env"] = EnvironmentOf(input, config.terminal(), user.home);
  process["cwd"] = config.working_directory().empty() ? "/" : config.working_directory();
  SetCapabilities(security.capabilities, user, process);
  BERTH_RETURN_IF_ERROR(SetUlimits(host, process));
  if (security.no_new_privileges) process["noNewPrivileges"] = true;
  if (!security.apparmor_profile.empty()) process["apparmorProfile"] = security.apparmor_profile;
  if (host.oom_score_adj() != 0) process["oomScoreAdj"] = host.oom_score_adj();
  return process;
}

void AddNamespace(const char* type, const NamespaceMode& mode, int pid, const char* file,
                  Json& namespaces) {
  if (mode.kind == Kind::kHost) return;
  Json entry = {{"type", type}};
  if (mode.kind == Kind::kContainer) entry["path"] = absl::StrCat("/proc/", pid, "/ns/", file);
  namespaces.push_back(std::move(entry));
}

absl::StatusOr<Json> Namespaces(const SpecInput& input) {
  const v1::HostConfig& host = input.container.host_config();
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode network, ParseNetworkMode(host.network_mode()));
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode ipc, ParseIpcMode(host.ipc_mode()));
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode pid, ParsePidMode(host.pid_mode()));
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode uts, ParseUtsMode(host.uts_mode()));
  BERTH_ASSIGN_OR_RETURN(const NamespaceMode cgroup, ParseCgroupnsMode(host.cgroupns_mode()));
  Json namespaces = Json::array({{{"type", "mount"}}});
  AddNamespace("network", network, input.network_pid, "net", namespaces);
  AddNamespace("ipc", ipc, input.ipc_pid, "ipc", namespaces);
  AddNamespace("pid", pid, input.pid_pid, "pid", namespaces);
  AddNamespace("uts", uts, 0, "uts", namespaces);
  // With v1 a container's own view of the hierarchies breaks programs that look for their limits.
  const bool own_by_default = input.cgroup_layout == CgroupLayout::kV2 && !host.privileged();
  const bool own =
      host.cgroupns_mode() == "private" || (host.cgroupns_mode().empty() && own_by_default);
  if (own && cgroup.kind != Kind::kHost) namespaces.push_back({{"type", "cgroup"}});
  return namespaces;
}

absl::StatusOr<Json> Linux(const SpecInput& input, const SecuritySpec& security) {
  const v1::HostConfig& host = input.container.host_config();
  BERTH_ASSIGN_OR_RETURN(DeviceSpec devices, ResolveDevices(host));
  BERTH_ASSIGN_OR_RETURN(Json resources, ResourcesSpec(host.resources()));
  resources["devices"] = std::move(devices.rules);
  const std::string parent =
      host.cgroup_parent().empty() ? absl::StrCat("/", input.ns) : host.cgroup_parent();
  Json section = {{"resources", std::move(resources)},
                  {"cgroupsPath",
                   absl::StrCat(absl::StartsWith(parent, "/") ? "" : "/", parent, "/", input.id)}};
  BERTH_ASSIGN_OR_RETURN(section["namespaces"], Namespaces(input));
  if (!devices.nodes.empty()) section["devices"] = std::move(devices.nodes);
  if (!host.sysctls().empty()) {
    for (const auto& [key, value] : host.sysctls()) section["sysctl"][key] = value;
  }
  if (security.seccomp.has_value()) section["seccomp"] = *security.seccomp;
  if (security.system_paths_confined) {
    section["maskedPaths"] = kMaskedPaths;
    section["readonlyPaths"] = kReadonlyPaths;
  }
  for (const v1::MountPoint& point : input.container.mounts()) {
    // A mount can only pass on what the root above it does.
    if (absl::EndsWith(point.propagation(), "shared")) section["rootfsPropagation"] = "shared";
    if (absl::EndsWith(point.propagation(), "slave") && !section.contains("rootfsPropagation")) {
      section["rootfsPropagation"] = "rslave";
    }
  }
  return section;
}

}  // namespace

absl::StatusOr<Json> BuildSpec(const SpecInput& input) {
  const v1::HostConfig& host = input.container.host_config();
  BERTH_ASSIGN_OR_RETURN(const SecuritySpec security, ResolveSecurity(host));
  Json spec = {{"ociVersion", "1.0.2"}};
  BERTH_ASSIGN_OR_RETURN(spec["process"], Process(input, security));
  spec["root"] = {{"path", "rootfs"}};
  if (host.read_only_root()) spec["root"]["readonly"] = true;
  if (host.uts_mode() != "host") {
    spec["hostname"] = HostnameOf(input);
    if (!input.container.config().domainname().empty()) {
      spec["domainname"] = input.container.config().domainname();
    }
  }
  BERTH_ASSIGN_OR_RETURN(spec["mounts"], MountsSpec(input));
  BERTH_ASSIGN_OR_RETURN(spec["linux"], Linux(input, security));
  for (const auto& [key, value] : host.annotations()) spec["annotations"][key] = value;
  return spec;
}

absl::StatusOr<Json> BuildExecProcess(const SpecInput& input, const v1::CreateExecRequest& exec) {
  const v1::HostConfig& host = input.container.host_config();
  v1::HostConfig security_host = host;
  if (exec.privileged()) security_host.set_privileged(true);
  BERTH_ASSIGN_OR_RETURN(const SecuritySpec security, ResolveSecurity(security_host));
  Json process = Json::object();
  if (exec.terminal()) {
    SpecInput sized = input;
    sized.terminal_columns = exec.terminal_columns();
    sized.terminal_rows = exec.terminal_rows();
    SetTerminal(sized, process);
  }
  BERTH_ASSIGN_OR_RETURN(
      const oci::ProcessUser user,
      UserOf(input, exec.user().empty() ? input.container.config().user() : exec.user()));
  SetUser(user, process);
  process["args"] = std::vector<std::string>(exec.command().begin(), exec.command().end());
  std::vector<std::string> environment = EnvironmentOf(input, exec.terminal(), user.home);
  for (const std::string& entry : exec.environment()) SetEntry(environment, entry);
  process["env"] = std::move(environment);
  const std::string& directory = exec.working_directory().empty()
                                     ? input.container.config().working_directory()
                                     : exec.working_directory();
  process["cwd"] = directory.empty() ? "/" : directory;
  SetCapabilities(security.capabilities, user, process);
  BERTH_RETURN_IF_ERROR(SetUlimits(host, process));
  if (security.no_new_privileges) process["noNewPrivileges"] = true;
  if (!security.apparmor_profile.empty()) process["apparmorProfile"] = security.apparmor_profile;
  return process;
}

absl::StatusOr<Json> BuildHealthProcess(const SpecInput& input) {
  const auto& test = input.container.config().healthcheck().test();
  if (test.empty() || test[0] == "NONE" || test[0].empty()) return Json();
  v1::CreateExecRequest exec;
  if (test[0] == "CMD-SHELL") {
    for (const char* word : {"/bin/sh", "-c"}) exec.add_command(word);
  } else if (test[0] != "CMD") {
    return absl::InvalidArgumentError(absl::StrCat("Unknown healthcheck type: ", test[0]));
  }
  exec.mutable_command()->Add(test.begin() + 1, test.end());
  return BuildExecProcess(input, exec);
}

}  // namespace berth::engine
