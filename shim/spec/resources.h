// linux.resources of an OCI specification as plain values: what shim/cgroup applies.
//
// An absent optional means "leave as it is". Immutable once parsed.
#ifndef BERTH_SHIM_SPEC_RESOURCES_H_
#define BERTH_SHIM_SPEC_RESOURCES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::spec {

struct DeviceRule {
  bool allow = false;
  char type = 'a';                // a, b, c
  std::optional<uint32_t> major;  // absent: any
  std::optional<uint32_t> minor;
  bool read = false;
  bool write = false;
  bool mknod = false;
  bool operator==(const DeviceRule&) const = default;
};

struct MemoryLimits {
  std::optional<int64_t> limit_bytes;  // -1: unlimited, as for all of these
  std::optional<int64_t> reservation_bytes;
  std::optional<int64_t> swap_bytes;  // memory plus swap
  std::optional<int64_t> kernel_bytes;
  std::optional<int64_t> kernel_tcp_bytes;
  std::optional<uint64_t> swappiness;
  std::optional<bool> disable_oom_killer;
  std::optional<bool> use_hierarchy;
  bool check_before_update = false;
  bool operator==(const MemoryLimits&) const = default;
};

struct CpuLimits {
  std::optional<uint64_t> shares;
  std::optional<int64_t> quota_us;
  std::optional<uint64_t> burst_us;
  std::optional<uint64_t> period_us;
  std::optional<int64_t> realtime_runtime_us;
  std::optional<uint64_t> realtime_period_us;
  std::string cpus;
  std::string mems;
  std::optional<int64_t> idle;
  bool operator==(const CpuLimits&) const = default;
};

struct BlockDeviceValue {
  uint32_t major = 0;
  uint32_t minor = 0;
  uint64_t value = 0;
  bool operator==(const BlockDeviceValue&) const = default;
};

struct BlockWeight {
  uint32_t major = 0;
  uint32_t minor = 0;
  std::optional<uint64_t> weight;
  std::optional<uint64_t> leaf_weight;
  bool operator==(const BlockWeight&) const = default;
};

struct BlockIoLimits {
  std::optional<uint64_t> weight;
  std::optional<uint64_t> leaf_weight;
  std::vector<BlockWeight> weight_devices;
  std::vector<BlockDeviceValue> read_bps;
  std::vector<BlockDeviceValue> write_bps;
  std::vector<BlockDeviceValue> read_iops;
  std::vector<BlockDeviceValue> write_iops;
  bool operator==(const BlockIoLimits&) const = default;
};

struct HugepageLimit {
  std::string page_size;  // 2MB, 1GB
  uint64_t limit_bytes = 0;
  bool operator==(const HugepageLimit&) const = default;
};

struct InterfacePriority {
  std::string name;
  uint64_t priority = 0;
  bool operator==(const InterfacePriority&) const = default;
};

struct RdmaLimit {
  std::string device;
  std::optional<uint64_t> handles;
  std::optional<uint64_t> objects;
  bool operator==(const RdmaLimit&) const = default;
};

struct Resources {
  std::vector<DeviceRule> devices;
  MemoryLimits memory;
  CpuLimits cpu;
  BlockIoLimits block_io;
  std::optional<int64_t> pids_limit;  // 0 and below: no limit
  std::vector<HugepageLimit> hugepages;
  std::optional<uint64_t> network_class_id;
  std::vector<InterfacePriority> network_priorities;
  std::vector<RdmaLimit> rdma;
  std::vector<std::pair<std::string, std::string>> unified;
  bool operator==(const Resources&) const = default;
};

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_RESOURCES_H_
