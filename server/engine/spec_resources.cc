#include "server/engine/spec_resources.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

using oci::Json;

constexpr int64_t kCpuPeriodMicroseconds = 100'000;
constexpr char kSwapFile[] = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes";
constexpr char kUnifiedFile[] = "/sys/fs/cgroup/cgroup.controllers";

// Cgroup v1 without swap accounting has no such limit; Docker then leaves it out as well.
bool CanLimitSwap() { return ::access(kSwapFile, F_OK) == 0 || ::access(kUnifiedFile, F_OK) == 0; }

absl::Status AddDeviceNumber(const std::string& path, Json& entry) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    return ErrnoStatus(errno, absl::StrCat("the device ", path, " of a blkio limit"));
  }
  if (!S_ISBLK(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no block device"));
  }
  entry["major"] = major(status.st_rdev);
  entry["minor"] = minor(status.st_rdev);
  return absl::OkStatus();
}

template <typename Devices>
absl::Status AddThrottle(const char* key, const Devices& devices, Json& block) {
  for (const v1::ThrottleDevice& device : devices) {
    Json entry = Json::object();
    BERTH_RETURN_IF_ERROR(AddDeviceNumber(device.path(), entry));
    entry["rate"] = device.rate();
    block[key].push_back(std::move(entry));
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> BlockSpec(const v1::Resources& r) {
  Json block = Json::object();
  if (r.blkio_weight() > 0) block["weight"] = r.blkio_weight();
  for (const v1::WeightDevice& device : r.blkio_weight_devices()) {
    Json entry = Json::object();
    BERTH_RETURN_IF_ERROR(AddDeviceNumber(device.path(), entry));
    entry["weight"] = device.weight();
    block["weightDevice"].push_back(std::move(entry));
  }
  BERTH_RETURN_IF_ERROR(AddThrottle("throttleReadBpsDevice", r.blkio_read_bps(), block));
  BERTH_RETURN_IF_ERROR(AddThrottle("throttleWriteBpsDevice", r.blkio_write_bps(), block));
  BERTH_RETURN_IF_ERROR(AddThrottle("throttleReadIOPSDevice", r.blkio_read_iops(), block));
  BERTH_RETURN_IF_ERROR(AddThrottle("throttleWriteIOPSDevice", r.blkio_write_iops(), block));
  return block;
}

Json MemorySpec(const v1::Resources& r) {
  Json memory = Json::object();
  if (r.memory_bytes() > 0) {
    memory["limit"] = r.memory_bytes();
    if (CanLimitSwap()) {
      memory["swap"] = r.memory_swap_bytes() == 0 ? 2 * r.memory_bytes() : r.memory_swap_bytes();
    }
  }
  if (r.memory_reservation_bytes() > 0) memory["reservation"] = r.memory_reservation_bytes();
  if (r.has_memory_swappiness() && r.memory_swappiness() >= 0) {
    memory["swappiness"] = r.memory_swappiness();
  }
  if (r.oom_kill_disable()) memory["disableOOMKiller"] = true;
  return memory;
}

Json CpuSpec(const v1::Resources& r) {
  Json cpu = Json::object();
  if (r.cpu_shares() > 0) cpu["shares"] = r.cpu_shares();
  if (r.nano_cpus() > 0) {
    cpu["quota"] = r.nano_cpus() * kCpuPeriodMicroseconds / 1'000'000'000;
    cpu["period"] = kCpuPeriodMicroseconds;
  } else {
    if (r.cpu_quota() != 0) cpu["quota"] = r.cpu_quota();
    if (r.cpu_period() > 0) cpu["period"] = r.cpu_period();
  }
  if (r.cpu_realtime_runtime() > 0) cpu["realtimeRuntime"] = r.cpu_realtime_runtime();
  if (r.cpu_realtime_period() > 0) cpu["realtimePeriod"] = r.cpu_realtime_period();
  if (!r.cpuset_cpus().empty()) cpu["cpus"] = r.cpuset_cpus();
  if (!r.cpuset_mems().empty()) cpu["mems"] = r.cpuset_mems();
  return cpu;
}

}  // namespace

absl::StatusOr<Json> ResourcesSpec(const v1::Resources& resources) {
  Json spec = Json::object();
  if (Json memory = MemorySpec(resources); !memory.empty()) spec["memory"] = std::move(memory);
  if (Json cpu = CpuSpec(resources); !cpu.empty()) spec["cpu"] = std::move(cpu);
  if (resources.has_pids_limit()) {
    spec["pids"]["limit"] = resources.pids_limit() > 0 ? resources.pids_limit() : -1;
  }
  BERTH_ASSIGN_OR_RETURN(Json block, BlockSpec(resources));
  if (!block.empty()) spec["blockIO"] = std::move(block);
  return spec;
}

void MergeResources(const v1::Resources& change, v1::Resources& resources) {
  if (change.memory_bytes() != 0) resources.set_memory_bytes(change.memory_bytes());
  if (change.memory_swap_bytes() != 0) resources.set_memory_swap_bytes(change.memory_swap_bytes());
  if (change.nano_cpus() != 0) {
    resources.set_nano_cpus(change.nano_cpus());
    resources.clear_cpu_quota();
    resources.clear_cpu_period();
  }
  v1::Resources rest = change;
  rest.clear_memory_bytes();
  rest.clear_memory_swap_bytes();
  rest.clear_nano_cpus();
  // Scalars that are zero stay as they are, which is what merging means.
  resources.MergeFrom(rest);
}

}  // namespace berth::engine
