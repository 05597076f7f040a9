#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "shim/spec/parse_parts.h"

namespace berth::spec {
namespace {

// -1 means "any" for a device number, as an absent one does.
std::optional<uint32_t> ReadDeviceNumber(const Field& field) {
  std::optional<int64_t> number = field.Int64();
  if (!number || *number == -1) return std::nullopt;
  if (*number < 0 || *number > 0xffffffff) {
    field.Fail(absl::StrCat("not a device number: ", *number));
    return std::nullopt;
  }
  return static_cast<uint32_t>(*number);
}

void ReadDeviceRule(const Field& entry, std::vector<DeviceRule>& rules) {
  DeviceRule rule;
  rule.allow = entry.Get("allow").Boolean();
  const Field type = entry.Get("type");
  const std::string kind = type.String();
  if (kind.empty() || kind == "a") {
    rule.type = 'a';
  } else if (kind == "c" || kind == "u") {
    rule.type = 'c';
  } else if (kind == "b") {
    rule.type = 'b';
  } else {
    return type.Fail(absl::StrCat("expected a, b or c, found \"", kind, "\""));
  }
  const Field major = entry.Get("major");
  rule.major = ReadDeviceNumber(major);
  const Field minor = entry.Get("minor");
  rule.minor = ReadDeviceNumber(minor);
  const Field access = entry.Get("access");
  std::string letters = access.String();
  if (letters.empty()) letters = "rwm";
  for (char letter : letters) {
    switch (letter) {
      case 'r':
        rule.read = true;
        break;
      case 'w':
        rule.write = true;
        break;
      case 'm':
        rule.mknod = true;
        break;
      default:
        return access.Fail(absl::StrCat("expected letters of rwm, found \"", letters, "\""));
    }
  }
  rules.push_back(rule);
}

void ReadMemory(const Field& section, MemoryLimits& memory) {
  memory.limit_bytes = section.Get("limit").Int64();
  memory.reservation_bytes = section.Get("reservation").Int64();
  memory.swap_bytes = section.Get("swap").Int64();
  memory.kernel_bytes = section.Get("kernel").Int64();
  memory.kernel_tcp_bytes = section.Get("kernelTCP").Int64();
  const Field swappiness = section.Get("swappiness");
  memory.swappiness = swappiness.Uint64();
  if (memory.swappiness && *memory.swappiness > 100) swappiness.Fail("must be from 0 to 100");
  memory.disable_oom_killer = section.Get("disableOOMKiller").OptionalBoolean();
  memory.use_hierarchy = section.Get("useHierarchy").OptionalBoolean();
  memory.check_before_update = section.Get("checkBeforeUpdate").Boolean();
}

void ReadCpu(const Field& section, CpuLimits& cpu) {
  cpu.shares = section.Get("shares").Uint64();
  cpu.quota_us = section.Get("quota").Int64();
  cpu.burst_us = section.Get("burst").Uint64();
  cpu.period_us = section.Get("period").Uint64();
  cpu.realtime_runtime_us = section.Get("realtimeRuntime").Int64();
  cpu.realtime_period_us = section.Get("realtimePeriod").Uint64();
  cpu.cpus = section.Get("cpus").String();
  cpu.mems = section.Get("mems").String();
  const Field idle = section.Get("idle");
  cpu.idle = idle.Int64();
  if (cpu.idle && *cpu.idle != 0 && *cpu.idle != 1) idle.Fail("must be 0 or 1");
}

void ReadThrottles(const Field& list, std::vector<BlockDeviceValue>& out) {
  list.ForEach([&](const Field& entry) {
    BlockDeviceValue value;
    value.major = entry.Get("major").Uint32().value_or(0);
    value.minor = entry.Get("minor").Uint32().value_or(0);
    value.value = entry.Get("rate").Uint64().value_or(0);
    out.push_back(value);
  });
}

void ReadBlockIo(const Field& section, BlockIoLimits& limits) {
  limits.weight = section.Get("weight").Uint64();
  limits.leaf_weight = section.Get("leafWeight").Uint64();
  section.Get("weightDevice").ForEach([&](const Field& entry) {
    BlockWeight weight;
    weight.major = entry.Get("major").Uint32().value_or(0);
    weight.minor = entry.Get("minor").Uint32().value_or(0);
    weight.weight = entry.Get("weight").Uint64();
    weight.leaf_weight = entry.Get("leafWeight").Uint64();
    limits.weight_devices.push_back(weight);
  });
  const Field read_bps = section.Get("throttleReadBpsDevice");
  ReadThrottles(read_bps, limits.read_bps);
  const Field write_bps = section.Get("throttleWriteBpsDevice");
  ReadThrottles(write_bps, limits.write_bps);
  const Field read_iops = section.Get("throttleReadIOPSDevice");
  ReadThrottles(read_iops, limits.read_iops);
  const Field write_iops = section.Get("throttleWriteIOPSDevice");
  ReadThrottles(write_iops, limits.write_iops);
}

void ReadUnified(const Field& section, Resources& out) {
  section.ForEachMember([&](absl::string_view name, const Field& value) {
    // The name becomes a file of the cgroup's directory.
    if (name.empty() || absl::StrContains(name, "/") || name[0] == '.' ||
        name.find('\0') != absl::string_view::npos) {
      return value.Fail(absl::StrCat("not a cgroup file name: \"", name, "\""));
    }
    out.unified.emplace_back(std::string(name), value.String());
  });
}

}  // namespace

void ReadResources(const Field& resources, Resources& out) {
  resources.Get("devices").ForEach([&](const Field& entry) { ReadDeviceRule(entry, out.devices); });
  const Field memory = resources.Get("memory");
  ReadMemory(memory, out.memory);
  const Field cpu = resources.Get("cpu");
  ReadCpu(cpu, out.cpu);
  const Field pids = resources.Get("pids");
  out.pids_limit = pids.Get("limit").Int64();
  const Field block_io = resources.Get("blockIO");
  ReadBlockIo(block_io, out.block_io);
  resources.Get("hugepageLimits").ForEach([&](const Field& entry) {
    HugepageLimit limit;
    const Field size = entry.Get("pageSize");
    limit.page_size = size.String();
    if (limit.page_size.empty() || absl::StrContains(limit.page_size, "/")) {
      return size.Fail(absl::StrCat("not a page size such as 2MB: \"", limit.page_size, "\""));
    }
    limit.limit_bytes = entry.Get("limit").Uint64().value_or(0);
    out.hugepages.push_back(std::move(limit));
  });
  const Field network = resources.Get("network");
  out.network_class_id = network.Get("classID").Uint64();
  network.Get("priorities").ForEach([&](const Field& entry) {
    out.network_priorities.push_back(
        {entry.Get("name").String(), entry.Get("priority").Uint64().value_or(0)});
  });
  resources.Get("rdma").ForEachMember([&](absl::string_view device, const Field& entry) {
    out.rdma.push_back(
        {std::string(device), entry.Get("hcaHandles").Uint64(), entry.Get("hcaObjects").Uint64()});
  });
  const Field unified = resources.Get("unified");
  ReadUnified(unified, out);
}

}  // namespace berth::spec
