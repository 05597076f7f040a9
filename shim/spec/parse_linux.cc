#include <sched.h>

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "shim/spec/names.h"
#include "shim/spec/parse_parts.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::spec {
namespace {

void ReadNamespaces(const Field& list, LaunchPlan& plan) {
  list.ForEach([&](const Field& entry) {
    NamespacePlan ns;
    const Field type = entry.Get("type");
    const std::string name = type.String();
    std::optional<int> flag = NamespaceFlag(name);
    if (!flag) return type.Fail(absl::StrCat("unknown namespace \"", name, "\""));
    ns.clone_flag = *flag;
    if (plan.FindNamespace(*flag) != nullptr) {
      return type.Fail(absl::StrCat("namespace \"", name, "\" is listed twice"));
    }
    const Field path = entry.Get("path");
    ns.path = path.String();
    if (!ns.path.empty() && ns.path[0] != '/') {
      return path.Fail(absl::StrCat("must be an absolute path, found \"", ns.path, "\""));
    }
    plan.namespaces.push_back(std::move(ns));
  });
}

void CheckUserNamespace(const Field& section, const LaunchPlan& plan) {
  const NamespacePlan* user = plan.FindNamespace(CLONE_NEWUSER);
  if (user == nullptr) {
    if (!plan.uid_mappings.empty() || !plan.gid_mappings.empty()) {
      section.Get("uidMappings").Fail("needs a user namespace in $.linux.namespaces");
    }
    return;
  }
  if (!user->path.empty()) return;
  if (plan.uid_mappings.empty())
    section.Get("uidMappings").Fail("missing for a new user namespace");
  if (plan.gid_mappings.empty())
    section.Get("gidMappings").Fail("missing for a new user namespace");
}

void ReadDevices(const Field& list, LaunchPlan& plan) {
  list.ForEach([&](const Field& entry) {
    DeviceNode device;
    const Field path = entry.Get("path");
    device.path = path.String();
    if (device.path.empty() || device.path[0] != '/') {
      return path.Fail(absl::StrCat("must be an absolute path, found \"", device.path, "\""));
    }
    const Field type = entry.Get("type");
    const std::string kind = type.String();
    if (kind.size() != 1 || !absl::StrContains("cubp", kind)) {
      return type.Fail(absl::StrCat("expected c, b, u or p, found \"", kind, "\""));
    }
    device.type = kind[0] == 'u' ? 'c' : kind[0];
    const Field major = entry.Get("major");
    const Field minor = entry.Get("minor");
    device.major = major.Uint32().value_or(0);
    device.minor = minor.Uint32().value_or(0);
    if (device.type != 'p' && !major.present()) return major.Fail("missing");
    if (device.type != 'p' && !minor.present()) return minor.Fail("missing");
    device.mode = entry.Get("fileMode").Uint32().value_or(0666) & 07777;
    device.uid = entry.Get("uid").Uint32().value_or(0);
    device.gid = entry.Get("gid").Uint32().value_or(0);
    plan.devices.push_back(std::move(device));
  });
}

// A sysctl acts on one namespace, or on the whole host, which a container must not reach.
void CheckSysctl(absl::string_view name, const Field& value, const LaunchPlan& plan) {
  static constexpr absl::string_view kIpc[] = {
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",          "kernel.sem",
      "kernel.shmall", "kernel.shmmax", "kernel.shm_rmid_forced", "kernel.shmmni"};
  const std::string dotted = absl::StrContains(name, '/') && !absl::StrContains(name, '.')
                                 ? absl::StrReplaceAll(name, {{"/", "."}})
                                 : std::string(name);
  int flag = 0;
  if (absl::StartsWith(dotted, "net.")) {
    flag = CLONE_NEWNET;
  } else if (absl::StartsWith(dotted, "fs.mqueue.") ||
             std::find(std::begin(kIpc), std::end(kIpc), dotted) != std::end(kIpc)) {
    flag = CLONE_NEWIPC;
  } else if (dotted == "kernel.domainname") {
    flag = CLONE_NEWUTS;
  } else if (dotted == "kernel.hostname") {
    return value.Fail("use $.hostname for this");
  } else if (absl::StartsWith(dotted, "user.")) {
    flag = CLONE_NEWUSER;
  } else {
    return value.Fail("this sysctl belongs to no namespace: it would change the host");
  }
  if (plan.FindNamespace(flag) == nullptr) {
    value.Fail(absl::StrCat("needs a ", NamespaceName(flag),
                            " namespace of the container's own: it would change the host"));
  }
}

void ReadSysctls(const Field& section, LaunchPlan& plan) {
  section.ForEachMember([&](absl::string_view name, const Field& value) {
    if (name.empty() || absl::StrContains(name, "..") || name[0] == '/' ||
        name.find('\0') != absl::string_view::npos) {
      return value.Fail("not the name of a sysctl");
    }
    CheckSysctl(name, value, plan);
    plan.sysctls.emplace_back(std::string(name), value.String());
  });
}

void ReadTimeOffsets(const Field& section, LaunchPlan& plan) {
  section.ForEachMember([&](absl::string_view clock, const Field& entry) {
    if (clock != "monotonic" && clock != "boottime") {
      return entry.Fail("expected monotonic or boottime");
    }
    if (plan.FindNamespace(CLONE_NEWTIME) == nullptr) {
      return entry.Fail("needs a time namespace in $.linux.namespaces");
    }
    TimeOffset offset;
    offset.clock = std::string(clock);
    offset.seconds = entry.Get("secs").Int64().value_or(0);
    const Field nanoseconds = entry.Get("nanosecs");
    offset.nanoseconds = nanoseconds.Uint32().value_or(0);
    if (offset.nanoseconds >= 1000000000) return nanoseconds.Fail("must be below 1000000000");
    plan.time_offsets.push_back(std::move(offset));
  });
}

void ReadPersonality(const Field& section, LaunchPlan& plan) {
  if (!section.present()) return;
  const Field domain = section.Get("domain");
  const std::string name = domain.String();
  if (name == "LINUX") {
    plan.personality = 0;
  } else if (name == "LINUX32") {
    plan.personality = 8;
  } else {
    return domain.Fail(absl::StrCat("expected LINUX or LINUX32, found \"", name, "\""));
  }
  if (section.Get("flags").value().size() > 0) {
    section.Get("flags").Unsupported("the specification defines no personality flags yet");
  }
}

void ReadMemoryPolicy(const Field& section, LaunchPlan& plan) {
  if (!section.present()) return;
  MemoryPolicy policy;
  const Field mode = section.Get("mode");
  const std::string name = mode.String();
  std::optional<int> number = MemoryPolicyMode(name);
  if (!number) return mode.Fail(absl::StrCat("unknown memory policy \"", name, "\""));
  policy.mode = *number;
  section.Get("flags").ForEach([&](const Field& flag) {
    const std::string text = flag.String();
    std::optional<int> bit = MemoryPolicyFlag(text);
    if (!bit) return flag.Fail(absl::StrCat("unknown memory policy flag \"", text, "\""));
    policy.mode |= *bit;
  });
  const Field nodes = section.Get("nodes");
  std::optional<std::vector<int>> list = ParseCpuList(nodes.String(), 1023);
  if (!list) return nodes.Fail("expected a list of nodes such as 0-1,3");
  policy.nodes = *std::move(list);
  plan.memory_policy = std::move(policy);
}

void ReadIntelRdt(const Field& section, LaunchPlan& plan) {
  if (!section.present()) return;
  IntelRdt rdt;
  const Field class_id = section.Get("closID");
  rdt.class_id = class_id.String();
  if (rdt.class_id == "." || rdt.class_id == ".." ||
      (rdt.class_id != "/" && rdt.class_id.find_first_of("/\n") != std::string::npos)) {
    return class_id.Fail(
        absl::StrCat("not the name of a class of service: \"", rdt.class_id, "\""));
  }
  rdt.l3_cache_schema = section.Get("l3CacheSchema").String();
  const Field bandwidth = section.Get("memBwSchema");
  rdt.memory_bandwidth_schema = bandwidth.String();
  if (!rdt.memory_bandwidth_schema.empty() &&
      (!absl::StartsWith(rdt.memory_bandwidth_schema, "MB:") ||
       absl::StrContains(rdt.memory_bandwidth_schema, "\n"))) {
    return bandwidth.Fail("must be one line that begins with MB:");
  }
  const Field schemata = section.Get("schemata");
  // One text in drafts of the specification, a list of lines since.
  if (schemata.value().kind() == json::Kind::kString) {
    rdt.schemata.push_back(schemata.String());
  } else {
    rdt.schemata = schemata.Strings();
  }
  rdt.monitoring = section.Get("enableMonitoring").Boolean() ||
                   section.Get("enableCMT").Boolean() || section.Get("enableMBM").Boolean();
  plan.intel_rdt = std::move(rdt);
}

void ReadNetDevices(const Field& section, LaunchPlan& plan) {
  section.ForEachMember([&](absl::string_view name, const Field& entry) {
    NetDevice device;
    device.host_name = std::string(name);
    const Field renamed = entry.Get("name");
    device.container_name = renamed.String();
    if (device.container_name.empty()) device.container_name = device.host_name;
    for (const std::string& text : {device.host_name, device.container_name}) {
      if (text.empty() || text.size() > 15 || text == "." || text == ".." ||
          text.find_first_of("/: \t\n") != std::string::npos) {
        return entry.Fail(absl::StrCat("not an interface name: \"", text, "\""));
      }
    }
    if (plan.FindNamespace(CLONE_NEWNET) == nullptr) {
      return entry.Fail("needs a network namespace in $.linux.namespaces");
    }
    plan.net_devices.push_back(std::move(device));
  });
}

void ReadRootfsPropagation(const Field& field, LaunchPlan& plan) {
  const std::string name = field.String();
  if (name.empty()) return;
  std::optional<uint64_t> flags = PropagationFlags(name);
  if (!flags) return field.Fail(absl::StrCat("unknown propagation \"", name, "\""));
  plan.rootfs_propagation = *flags;
}

std::vector<std::string> ReadPaths(const Field& list) {
  std::vector<std::string> paths = list.Strings();
  for (const std::string& path : paths) {
    if (path.empty() || path[0] != '/') {
      list.Fail(absl::StrCat("must be absolute paths, found \"", path, "\""));
    }
  }
  return paths;
}

}  // namespace

void ReadLinux(const Field& section, LaunchPlan& plan) {
  const Field namespaces = section.Get("namespaces");
  ReadNamespaces(namespaces, plan);
  const Field uid_mappings = section.Get("uidMappings");
  plan.uid_mappings = ReadIdMappings(uid_mappings);
  const Field gid_mappings = section.Get("gidMappings");
  plan.gid_mappings = ReadIdMappings(gid_mappings);
  CheckUserNamespace(section, plan);
  const Field time_offsets = section.Get("timeOffsets");
  ReadTimeOffsets(time_offsets, plan);
  const Field devices = section.Get("devices");
  ReadDevices(devices, plan);
  plan.cgroups_path = section.Get("cgroupsPath").String();
  const Field resources = section.Get("resources");
  ReadResources(resources, plan.resources);
  const Field propagation = section.Get("rootfsPropagation");
  ReadRootfsPropagation(propagation, plan);
  const Field seccomp = section.Get("seccomp");
  plan.seccomp_json = seccomp.RawObject();
  plan.seccomp_listener_path = seccomp.Get("listenerPath").String();
  const Field metadata = seccomp.Get("listenerMetadata");
  plan.seccomp_listener_metadata = metadata.String();
  if (!plan.seccomp_listener_metadata.empty() && plan.seccomp_listener_path.empty()) {
    metadata.Fail("needs a listenerPath");
  }
  const Field masked = section.Get("maskedPaths");
  plan.masked_paths = ReadPaths(masked);
  const Field readonly = section.Get("readonlyPaths");
  plan.readonly_paths = ReadPaths(readonly);
  plan.mount_label = section.Get("mountLabel").String();
  const Field sysctl = section.Get("sysctl");
  ReadSysctls(sysctl, plan);
  const Field personality = section.Get("personality");
  ReadPersonality(personality, plan);
  const Field intel_rdt = section.Get("intelRdt");
  ReadIntelRdt(intel_rdt, plan);
  const Field memory_policy = section.Get("memoryPolicy");
  ReadMemoryPolicy(memory_policy, plan);
  const Field net_devices = section.Get("netDevices");
  ReadNetDevices(net_devices, plan);
}

}  // namespace berth::spec
