#include "client/sdk/container_spec.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/oci/seccomp_profile.h"

namespace berth::client {
namespace {

constexpr char kOciVersion[] = "1.0.2";
constexpr int64_t kCpuPeriodMicroseconds = 100'000;

Json Mount(const char* destination, const char* type, const char* source,
           std::vector<std::string> options) {
  return {{"destination", destination}, {"type", type}, {"source", source}, {"options", options}};
}

Json DefaultMounts(const ContainerSpecOptions& options) {
  const bool privileged = options.privilege == Privilege::kPrivileged;
  Json mounts = Json::array();
  mounts.push_back(Mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(
      Mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push_back(
      Mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  const char* sys_access = privileged ? "rw" : "ro";
  if (options.network == NetworkMode::kHost && !privileged) {
    // sysfs shows the network namespace that mounts it, and only its owner may mount it: with the
    // host's network a fresh mount works as well, because nobody changed user namespaces.
    mounts.push_back(Mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  } else {
    mounts.push_back(Mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", sys_access}));
  }
  mounts.push_back(Mount("/sys/fs/cgroup", "cgroup", "cgroup",
                         {"nosuid", "noexec", "nodev", "relatime", sys_access}));
  mounts.push_back(Mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(
      Mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  return mounts;
}

void AddUserMounts(const ContainerSpecOptions& options, Json& mounts) {
  if (options.network == NetworkMode::kHost) {
    // Names resolve as on the host.
    for (const char* file : {"/etc/hosts", "/etc/resolv.conf"}) {
      mounts.push_back(Mount(file, "bind", file, {"rbind", "ro"}));
    }
  }
  for (const MountOption& mount : options.mounts) {
    Json entry = {{"destination", mount.destination}, {"type", mount.type}};
    entry["source"] = mount.source;
    entry["options"] = mount.options;
    mounts.push_back(std::move(entry));
  }
}

Json DeviceRule(bool allow, char type, int64_t device_major, int64_t device_minor,
                const char* access) {
  Json rule = {{"allow", allow}};
  if (type != 'a') rule["type"] = std::string(1, type);
  if (device_major >= 0) rule["major"] = device_major;
  if (device_minor >= 0) rule["minor"] = device_minor;
  rule["access"] = access;
  return rule;
}

// Nothing but the harmless devices; making any node with mknod is allowed, using it is not.
Json DeviceRules(Privilege privilege) {
  Json rules = Json::array();
  if (privilege == Privilege::kPrivileged) {
    rules.push_back(DeviceRule(true, 'a', -1, -1, "rwm"));
    return rules;
  }
  rules.push_back(DeviceRule(false, 'a', -1, -1, "rwm"));
  rules.push_back(DeviceRule(true, 'c', -1, -1, "m"));
  rules.push_back(DeviceRule(true, 'b', -1, -1, "m"));
  struct Allowed {
    int device_major;
    int device_minor;
  };
  // null, zero, full, random, urandom, tty, console, ptmx, every pty.
  for (const Allowed& device :
       {Allowed{1, 3}, Allowed{1, 5}, Allowed{1, 7}, Allowed{1, 8}, Allowed{1, 9}, Allowed{5, 0},
        Allowed{5, 1}, Allowed{5, 2}, Allowed{136, -1}}) {
    rules.push_back(DeviceRule(true, 'c', device.device_major, device.device_minor, "rwm"));
  }
  return rules;
}

Json Resources(const ContainerSpecOptions& options) {
  Json resources = {{"devices", DeviceRules(options.privilege)}};
  const ResourceLimits& limits = options.limits;
  if (limits.memory_bytes > 0) resources["memory"]["limit"] = limits.memory_bytes;
  if (limits.cpus > 0) {
    resources["cpu"]["quota"] =
        static_cast<int64_t>(std::llround(limits.cpus * kCpuPeriodMicroseconds));
    resources["cpu"]["period"] = kCpuPeriodMicroseconds;
  }
  if (limits.pids > 0) resources["pids"]["limit"] = limits.pids;
  return resources;
}

Json Namespaces(const ContainerSpecOptions& options) {
  Json namespaces = Json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount"}) namespaces.push_back({{"type", type}});
  if (options.network == NetworkMode::kNone) namespaces.push_back({{"type", "network"}});
  // With v1 a container's own view of the hierarchies breaks programs that look for their limits.
  if (options.cgroup_layout == CgroupLayout::kV2) namespaces.push_back({{"type", "cgroup"}});
  return namespaces;
}

Json HostDevices(const std::vector<oci::HostDevice>& devices) {
  Json list = Json::array();
  for (const oci::HostDevice& device : devices) {
    list.push_back({{"path", device.path},
                    {"type", std::string(1, device.type)},
                    {"major", device.device_major},
                    {"minor", device.device_minor},
                    {"fileMode", device.mode},
                    {"uid", device.uid},
                    {"gid", device.gid}});
  }
  return list;
}

Json LinuxSection(const ContainerSpecOptions& options) {
  Json section = {{"resources", Resources(options)},
                  {"cgroupsPath", absl::StrCat("/", options.ns, "/", options.id)},
                  {"namespaces", Namespaces(options)}};
  if (options.privilege == Privilege::kPrivileged) {
    section["devices"] = HostDevices(options.host_devices);
    return section;
  }
  if (options.seccomp == SeccompMode::kDefault) {
    section["seccomp"] = oci::DefaultSeccompProfile(options.process.capabilities);
  }
  section["maskedPaths"] = {"/proc/acpi",
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
  section["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                              "/proc/sysrq-trigger"};
  return section;
}

}  // namespace

Json MakeProcessSpec(const ProcessOptions& options) {
  Json process = Json::object();
  if (options.has_terminal) {
    process["terminal"] = true;
    if (options.terminal_columns > 0 && options.terminal_rows > 0) {
      process["consoleSize"] = {{"height", options.terminal_rows},
                                {"width", options.terminal_columns}};
    }
  }
  process["user"] = {{"uid", options.user.uid}, {"gid", options.user.gid}};
  if (!options.user.additional_gids.empty()) {
    process["user"]["additionalGids"] = options.user.additional_gids;
  }
  process["args"] = options.arguments;
  process["env"] = options.environment;
  process["cwd"] = options.working_directory;
  // A user other than root starts with no capability in force and can gain them back by setuid
  // programs only, within the bounding set.
  const bool is_root = options.user.uid == 0;
  const std::vector<std::string> none;
  process["capabilities"] = {{"bounding", options.capabilities},
                             {"effective", is_root ? options.capabilities : none},
                             {"permitted", is_root ? options.capabilities : none}};
  if (options.escalation == Escalation::kNoNewPrivileges) process["noNewPrivileges"] = true;
  return process;
}

Json MakeContainerSpec(const ContainerSpecOptions& options) {
  Json spec = {{"ociVersion", kOciVersion}};
  spec["process"] = MakeProcessSpec(options.process);
  spec["root"] = {{"path", "rootfs"}};
  if (options.root_access == RootAccess::kReadOnly) spec["root"]["readonly"] = true;
  spec["hostname"] = options.hostname;
  spec["mounts"] = DefaultMounts(options);
  AddUserMounts(options, spec["mounts"]);
  spec["linux"] = LinuxSection(options);
  return spec;
}

}  // namespace berth::client
