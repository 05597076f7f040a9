#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "shim/spec/mount_options.h"
#include "shim/spec/parse_parts.h"

namespace berth::spec {
namespace {

void ReadMount(const Field& entry, LaunchPlan& plan) {
  MountPlan mount;
  const Field destination = entry.Get("destination");
  mount.destination = destination.String();
  if (mount.destination.empty()) return destination.Fail("missing");
  // Version 1.0 of the specification allowed relative ones, meant from the root.
  if (mount.destination[0] != '/') mount.destination.insert(0, "/");
  mount.type = entry.Get("type").String();
  mount.source = entry.Get("source").String();
  entry.Get("options").ForEach(
      [&](const Field& option) { ApplyMountOption(option.String(), mount); });
  if (mount.type == "bind" && !mount.bind) {
    mount.bind = true;
    mount.recursive = true;
  }
  if (mount.bind && mount.source.empty())
    return entry.Get("source").Fail("missing in a bind mount");
  if (!mount.bind && mount.type.empty() && !mount.remount && mount.propagation == 0) {
    return entry.Get("type").Fail("missing, and the options do not say bind");
  }
  if (mount.copy_up && mount.type != "tmpfs") {
    return entry.Get("options").Fail("tmpcopyup is only for tmpfs");
  }
  const Field uid_mappings = entry.Get("uidMappings");
  mount.uid_mappings = ReadIdMappings(uid_mappings);
  const Field gid_mappings = entry.Get("gidMappings");
  mount.gid_mappings = ReadIdMappings(gid_mappings);
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
    return entry.Fail("uidMappings and gidMappings go together");
  }
  // Mappings alone ask for an id-mapped mount: of this mount, not of the tree below it.
  if (!mount.uid_mappings.empty() && mount.id_map == IdMapScope::kNone) {
    mount.id_map = IdMapScope::kMount;
  }
  plan.mounts.push_back(std::move(mount));
}

}  // namespace

std::vector<IdMapping> ReadIdMappings(const Field& mappings) {
  std::vector<IdMapping> out;
  mappings.ForEach([&](const Field& entry) {
    IdMapping mapping;
    mapping.container_id = entry.Get("containerID").Uint32().value_or(0);
    mapping.host_id = entry.Get("hostID").Uint32().value_or(0);
    const Field size = entry.Get("size");
    mapping.size = size.Uint32().value_or(0);
    if (mapping.size == 0) return size.Fail("must be at least 1");
    if (uint64_t{mapping.container_id} + mapping.size > (uint64_t{1} << 32) ||
        uint64_t{mapping.host_id} + mapping.size > (uint64_t{1} << 32)) {
      return size.Fail("the range goes beyond 32 bits");
    }
    out.push_back(mapping);
  });
  // The kernel's limit on lines of a map.
  if (out.size() > 340) mappings.Fail("more than 340 mappings");
  return out;
}

void ReadMounts(const Field& mounts, LaunchPlan& plan) {
  plan.mounts.reserve(mounts.value().size());
  mounts.ForEach([&](const Field& entry) { ReadMount(entry, plan); });
}

}  // namespace berth::spec
