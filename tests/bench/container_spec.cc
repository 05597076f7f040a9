#include "tests/bench/container_spec.h"

#include "absl/strings/str_cat.h"
#include "base/oci/seccomp_profile.h"

namespace berth::bench {
namespace {

using oci::Json;

std::vector<std::string> Capabilities() {
  return {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
          "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
          "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
          "CAP_KILL",    "CAP_AUDIT_WRITE"};
}

Json Process(const std::vector<std::string>& arguments) {
  const Json capabilities = Capabilities();
  return {{"user", {{"uid", 0}, {"gid", 0}}},
          {"args", arguments},
          {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
          {"cwd", "/"},
          {"capabilities",
           {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}},
          {"rlimits", {{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}}},
          {"noNewPrivileges", true}};
}

Json Mount(const char* destination, const char* type, const char* source, Json options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", std::move(options)}};
}

Json Mounts() {
  return {
      Mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      Mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      Mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      Mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
      Mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      Mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
      Mount("/run", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"})};
}

// Everything is denied but the usual character devices and terminals.
Json Devices() {
  Json devices = {{{"allow", false}, {"access", "rwm"}}};
  const int numbers[][2] = {{1, 3}, {1, 8}, {1, 7}, {5, 0}, {1, 5}, {1, 9}, {5, 1}, {5, 2}};
  for (const auto& number : numbers) {
    devices.push_back({{"allow", true},
                       {"type", "c"},
                       {"major", number[0]},
                       {"minor", number[1]},
                       {"access", "rwm"}});
  }
  devices.push_back({{"allow", true}, {"type", "c"}, {"major", 136}, {"access", "rwm"}});
  return devices;
}

Json Linux(absl::string_view group, absl::string_view id, const ContainerOptions& options) {
  Json namespaces = Json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount"}) {
    namespaces.push_back({{"type", type}});
  }
  if (options.network == Network::kOwn) namespaces.push_back({{"type", "network"}});
  Json linux = {{"resources", {{"devices", Devices()}}},
                {"cgroupsPath", absl::StrCat("/", group, "/", id)},
                {"namespaces", namespaces},
                {"maskedPaths",
                 {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                  "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                  "/proc/scsi"}},
                {"readonlyPaths",
                 {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}};
  if (options.filter == Filter::kDefaultSeccomp) {
    linux["seccomp"] = oci::DefaultSeccompProfile(Capabilities());
  }
  return linux;
}

}  // namespace

std::string ContainerSpec(absl::string_view group, absl::string_view id,
                          const ContainerOptions& options) {
  const Json spec = {{"ociVersion", "1.0.2"},
                     {"process", Process(options.arguments)},
                     {"root", {{"path", "rootfs"}}},
                     {"mounts", Mounts()},
                     {"linux", Linux(group, id, options)}};
  return spec.dump();
}

std::string ProcessSpec(const std::vector<std::string>& arguments) {
  return Process(arguments).dump();
}

}  // namespace berth::bench
