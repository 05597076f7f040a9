// spec, features: what the runtime tells about itself.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/json/writer.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "shim/oci/commands.h"
#include "shim/spec/mount_options.h"
#include "shim/spec/names.h"
#include "shim/spec/seccomp_profile.h"

namespace berth::oci {
namespace {

using json::Layout;
using json::Writer;

void Print(const std::string& text) {
  ::fwrite(text.data(), 1, text.size(), stdout);
  ::fflush(stdout);
}

void WriteStrings(Writer& writer, absl::string_view key, const std::vector<std::string>& values) {
  writer.Key(key).BeginArray();
  for (const std::string& value : values) writer.String(value);
  writer.EndArray();
}

struct DefaultMount {
  const char* destination;
  const char* type;
  const char* source;
  std::vector<std::string> options;
};

enum class SpecFor { kRoot, kOrdinaryUser };

std::vector<DefaultMount> DefaultMounts(SpecFor whom) {
  std::vector<DefaultMount> mounts = {
      {"/proc", "proc", "proc", {}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}}};
  if (whom == SpecFor::kRoot) return mounts;
  for (DefaultMount& mount : mounts) {
    // No group but his own is mapped, and the host's network keeps its sysfs.
    if (mount.options.size() > 1 && mount.options.back() == "gid=5") mount.options.pop_back();
    if (absl::string_view(mount.destination) == "/sys") {
      mount = {"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}};
    }
  }
  return mounts;
}

// The user's own id as root's: what anybody may map.
void WriteOwnMapping(Writer& writer, absl::string_view key, uint32_t id) {
  writer.Key(key).BeginArray().BeginObject().Key("containerID").Int(0);
  writer.Key("hostID").Uint(id).Key("size").Int(1).EndObject().EndArray();
}

void WriteDefaultProcess(Writer& writer) {
  const std::vector<std::string> capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL",
                                                 "CAP_NET_BIND_SERVICE"};
  writer.Key("process").BeginObject().Key("terminal").Boolean(true);
  writer.Key("user").BeginObject().Key("uid").Int(0).Key("gid").Int(0).EndObject();
  WriteStrings(writer, "args", {"sh"});
  WriteStrings(writer, "env",
               {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"});
  writer.Key("cwd").String("/").Key("capabilities").BeginObject();
  for (const char* set : {"bounding", "effective", "permitted"})
    WriteStrings(writer, set, capabilities);
  writer.EndObject().Key("rlimits").BeginArray().BeginObject();
  writer.Key("type").String("RLIMIT_NOFILE").Key("hard").Int(1024).Key("soft").Int(1024);
  writer.EndObject().EndArray().Key("noNewPrivileges").Boolean(true).EndObject();
}

std::string DefaultSpec(SpecFor whom) {
  Writer writer(Layout::kIndented);
  writer.BeginObject().Key("ociVersion").String("1.2.0");
  WriteDefaultProcess(writer);
  writer.Key("root")
      .BeginObject()
      .Key("path")
      .String("rootfs")
      .Key("readonly")
      .Boolean(true)
      .EndObject();
  writer.Key("hostname").String("berth").Key("mounts").BeginArray();
  for (const DefaultMount& mount : DefaultMounts(whom)) {
    writer.BeginObject().Key("destination").String(mount.destination);
    writer.Key("type").String(mount.type).Key("source").String(mount.source);
    if (!mount.options.empty()) WriteStrings(writer, "options", mount.options);
    writer.EndObject();
  }
  writer.EndArray().Key("linux").BeginObject();
  std::vector<const char*> namespaces = {"pid", "network", "ipc", "uts", "mount", "cgroup"};
  if (whom == SpecFor::kRoot) {
    writer.Key("resources").BeginObject().Key("devices").BeginArray().BeginObject();
    writer.Key("allow").Boolean(false).Key("access").String("rwm");
    writer.EndObject().EndArray().EndObject();
  } else {
    WriteOwnMapping(writer, "uidMappings", ::geteuid());
    WriteOwnMapping(writer, "gidMappings", ::getegid());
    namespaces = {"pid", "ipc", "uts", "mount", "cgroup", "user"};
  }
  writer.Key("namespaces").BeginArray();
  for (const char* type : namespaces) {
    writer.BeginObject().Key("type").String(type).EndObject();
  }
  writer.EndArray();
  WriteStrings(writer, "maskedPaths",
               {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                "/proc/scsi"});
  WriteStrings(writer, "readonlyPaths",
               {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"});
  writer.EndObject().EndObject();
  return writer.Take() + "\n";
}

}  // namespace

absl::StatusOr<int> RunSpec(CommandContext& context) {
  const std::string path = context.options.Get("bundle", ".") + "/config.json";
  if (::access(path.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(absl::StrCat("file ", path, " exists; remove it first"));
  }
  const SpecFor whom = context.options.Has("rootless") ? SpecFor::kOrdinaryUser : SpecFor::kRoot;
  BERTH_RETURN_IF_ERROR(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), path, DefaultSpec(whom), 0666, Durability::kUnsynced));
  return 0;
}

absl::StatusOr<int> RunFeatures(CommandContext& context) {
  Writer writer(Layout::kIndented);
  writer.BeginObject().Key("ociVersionMin").String("1.0.0").Key("ociVersionMax").String("1.3.0");
  WriteStrings(
      writer, "hooks",
      {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"});
  WriteStrings(writer, "mountOptions", spec::KnownMountOptions());
  writer.Key("linux").BeginObject();
  WriteStrings(writer, "namespaces",
               {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"});
  std::vector<std::string> capabilities;
  for (int i = 0; i <= spec::kLastCapability; ++i) capabilities.push_back(spec::CapabilityName(i));
  WriteStrings(writer, "capabilities", capabilities);
  writer.Key("cgroup").BeginObject().Key("v1").Boolean(true).Key("v2").Boolean(true);
  writer.Key("systemd").Boolean(true).Key("systemdUser").Boolean(true).Key("rdma").Boolean(true);
  writer.EndObject().Key("seccomp").BeginObject().Key("enabled").Boolean(true);
  WriteStrings(writer, "actions", spec::SeccompActionNames());
  WriteStrings(writer, "operators", spec::SeccompOperatorNames());
  WriteStrings(writer, "archs", spec::SeccompArchitectureNames());
  WriteStrings(writer, "knownFlags", spec::SeccompFlagNames());
  writer.EndObject().Key("memoryPolicy").BeginObject();
  WriteStrings(writer, "modes", spec::MemoryPolicyModeNames());
  WriteStrings(writer, "flags", spec::MemoryPolicyFlagNames());
  writer.EndObject().Key("apparmor").BeginObject().Key("enabled").Boolean(true).EndObject();
  writer.Key("selinux").BeginObject().Key("enabled").Boolean(true).EndObject();
  writer.Key("intelRdt").BeginObject().Key("enabled").Boolean(true).EndObject();
  writer.Key("netDevices").BeginObject().Key("enabled").Boolean(true).EndObject();
  writer.Key("mountExtensions").BeginObject().Key("idmap").BeginObject();
  writer.Key("enabled").Boolean(true).EndObject().EndObject();
  writer.EndObject().EndObject();
  Print(writer.Take() + "\n");
  return 0;
}

absl::StatusOr<int> RunUnimplemented(CommandContext& context) {
  return absl::UnimplementedError(
      "checkpoint and restore are not available in this release of Berth");
}

}  // namespace berth::oci
