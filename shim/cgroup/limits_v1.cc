#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/cgroup.h"
#include "shim/cgroup/device_filter.h"
#include "shim/cgroup/limits.h"

namespace berth::cgroup {
namespace {

// Writes into the files of one controller; a limit without its controller is UNIMPLEMENTED.
class Files {
 public:
  Files(const Cgroup& group, absl::string_view controller)
      : directory_(group.FindController(controller)), controller_(controller) {}

  absl::Status Write(absl::string_view file, absl::string_view value) const {
    if (directory_ == nullptr) {
      return absl::UnimplementedError(absl::StrCat("the specification sets ", file,
                                                   ", but this host has no ", controller_,
                                                   " cgroup controller"));
    }
    absl::Status status = WriteControlFileAt(directory_->fd, file, value);
    if (status.ok()) return status;
    return Annotate(status, absl::StrCat("cgroup ", directory_->path));
  }
  template <typename T>
  absl::Status Set(absl::string_view file, const std::optional<T>& value) const {
    return value ? Write(file, absl::StrCat(*value)) : absl::OkStatus();
  }
  bool available() const { return directory_ != nullptr; }
  BorrowedFd fd() const { return directory_->fd; }

 private:
  const Directory* directory_;
  const absl::string_view controller_;
};

absl::Status ApplyMemory(const Cgroup& group, const spec::MemoryLimits& memory) {
  const Files files(group, "memory");
  if (memory.check_before_update && memory.limit_bytes && *memory.limit_bytes > 0 &&
      files.available()) {
    BERTH_ASSIGN_OR_RETURN(std::string usage, ReadFileAt(files.fd(), "memory.usage_in_bytes"));
    int64_t used = 0;
    if (absl::SimpleAtoi(usage, &used) && used > *memory.limit_bytes) {
      return absl::FailedPreconditionError(absl::StrCat(
          "memory limit ", *memory.limit_bytes, " is below the current usage of ", used, " bytes"));
    }
  }
  // The kernel keeps limit <= memsw limit at every moment, so which comes first depends on whether
  // they grow or shrink: try the usual order, then the other one.
  absl::Status status = files.Set("memory.limit_in_bytes", memory.limit_bytes);
  if (memory.swap_bytes && *memory.swap_bytes != 0) {
    absl::Status swap = files.Set("memory.memsw.limit_in_bytes", memory.swap_bytes);
    if (ErrnoOf(swap) == ENOENT) {
      // Swap accounting is off. Without swap to spend, the memory limit says the same.
      swap = memory.limit_bytes && *memory.swap_bytes == *memory.limit_bytes
                 ? absl::OkStatus()
                 : absl::UnimplementedError(
                       "memory.swap: this kernel does not account swap (boot with swapaccount=1)");
    }
    BERTH_RETURN_IF_ERROR(swap);
    if (!status.ok()) status = files.Set("memory.limit_in_bytes", memory.limit_bytes);
  } else if (!status.ok() && memory.limit_bytes && *memory.limit_bytes == -1) {
    BERTH_RETURN_IF_ERROR(files.Write("memory.memsw.limit_in_bytes", "-1"));
    status = files.Set("memory.limit_in_bytes", memory.limit_bytes);
  }
  if (!status.ok()) return status;
  BERTH_RETURN_IF_ERROR(files.Set("memory.soft_limit_in_bytes", memory.reservation_bytes));
  if (memory.kernel_tcp_bytes && *memory.kernel_tcp_bytes != 0) {
    BERTH_RETURN_IF_ERROR(files.Set("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp_bytes));
  }
  // memory.kernel is deprecated: the kernel no longer limits it by itself.
  BERTH_RETURN_IF_ERROR(files.Set("memory.swappiness", memory.swappiness));
  if (memory.disable_oom_killer.value_or(false)) {
    BERTH_RETURN_IF_ERROR(files.Write("memory.oom_control", "1"));
  }
  return absl::OkStatus();
}

absl::Status ApplyCpu(const Cgroup& group, const spec::CpuLimits& cpu) {
  const Files files(group, "cpu");
  if (cpu.idle) {
    BERTH_RETURN_IF_ERROR(files.Set("cpu.idle", cpu.idle));
  }
  if (cpu.shares && *cpu.shares != 0) {
    BERTH_RETURN_IF_ERROR(files.Set("cpu.shares", cpu.shares));
  }
  if (cpu.realtime_period_us) {
    BERTH_RETURN_IF_ERROR(files.Set("cpu.rt_period_us", cpu.realtime_period_us));
  }
  if (cpu.realtime_runtime_us) {
    BERTH_RETURN_IF_ERROR(files.Set("cpu.rt_runtime_us", cpu.realtime_runtime_us));
  }
  // A quota is judged against the period of that moment: where the new period does not fit the old
  // quota, the quota goes first.
  absl::Status period;
  if (cpu.period_us && *cpu.period_us != 0) period = files.Set("cpu.cfs_period_us", cpu.period_us);
  if (cpu.quota_us && *cpu.quota_us != 0) {
    BERTH_RETURN_IF_ERROR(files.Set("cpu.cfs_quota_us", cpu.quota_us));
    if (!period.ok()) period = files.Set("cpu.cfs_period_us", cpu.period_us);
  }
  BERTH_RETURN_IF_ERROR(period);
  if (cpu.burst_us) {
    BERTH_RETURN_IF_ERROR(files.Set("cpu.cfs_burst_us", cpu.burst_us));
  }
  const Files cpuset(group, "cpuset");
  if (!cpu.cpus.empty()) {
    BERTH_RETURN_IF_ERROR(cpuset.Write("cpuset.cpus", cpu.cpus));
  }
  if (!cpu.mems.empty()) {
    BERTH_RETURN_IF_ERROR(cpuset.Write("cpuset.mems", cpu.mems));
  }
  return absl::OkStatus();
}

absl::Status ApplyThrottles(const Files& files, absl::string_view file,
                            const std::vector<spec::BlockDeviceValue>& values) {
  for (const spec::BlockDeviceValue& value : values) {
    BERTH_RETURN_IF_ERROR(
        files.Write(file, absl::StrCat(value.major, ":", value.minor, " ", value.value)));
  }
  return absl::OkStatus();
}

// The weight files are bfq's since CFQ left the kernel; older names are tried first.
absl::Status SetWeight(const Files& files, absl::string_view name, absl::string_view value) {
  absl::Status status = files.Write(absl::StrCat("blkio.", name), value);
  if (ErrnoOf(status) != ENOENT) return status;
  status = files.Write(absl::StrCat("blkio.bfq.", name), value);
  if (ErrnoOf(status) != ENOENT) return status;
  return absl::UnimplementedError(
      absl::StrCat("blockIO ", name, ": no I/O scheduler of this kernel has weights (load bfq)"));
}

absl::Status ApplyBlockIo(const Cgroup& group, const spec::BlockIoLimits& limits) {
  const Files files(group, "blkio");
  if (limits.weight && *limits.weight != 0) {
    BERTH_RETURN_IF_ERROR(SetWeight(files, "weight", absl::StrCat(*limits.weight)));
  }
  if (limits.leaf_weight && *limits.leaf_weight != 0) {
    BERTH_RETURN_IF_ERROR(SetWeight(files, "leaf_weight", absl::StrCat(*limits.leaf_weight)));
  }
  for (const spec::BlockWeight& device : limits.weight_devices) {
    const std::string number = absl::StrCat(device.major, ":", device.minor, " ");
    if (device.weight) {
      BERTH_RETURN_IF_ERROR(
          SetWeight(files, "weight_device", absl::StrCat(number, *device.weight)));
    }
    if (device.leaf_weight) {
      BERTH_RETURN_IF_ERROR(
          SetWeight(files, "leaf_weight_device", absl::StrCat(number, *device.leaf_weight)));
    }
  }
  BERTH_RETURN_IF_ERROR(ApplyThrottles(files, "blkio.throttle.read_bps_device", limits.read_bps));
  BERTH_RETURN_IF_ERROR(ApplyThrottles(files, "blkio.throttle.write_bps_device", limits.write_bps));
  BERTH_RETURN_IF_ERROR(ApplyThrottles(files, "blkio.throttle.read_iops_device", limits.read_iops));
  return ApplyThrottles(files, "blkio.throttle.write_iops_device", limits.write_iops);
}

absl::Status ApplyOthers(const Cgroup& group, const spec::Resources& resources) {
  if (resources.pids_limit) {
    const Files pids(group, "pids");
    BERTH_RETURN_IF_ERROR(pids.Write(
        "pids.max", *resources.pids_limit > 0 ? absl::StrCat(*resources.pids_limit) : "max"));
  }
  if (group.FindController("hugetlb") != nullptr || !group.unified().valid()) {
    const Files hugetlb(group, "hugetlb");
    for (const spec::HugepageLimit& limit : resources.hugepages) {
      BERTH_RETURN_IF_ERROR(
          hugetlb.Write(absl::StrCat("hugetlb.", limit.page_size, ".limit_in_bytes"),
                        absl::StrCat(limit.limit_bytes)));
    }
  }
  if (resources.network_class_id) {
    const Files files(group, "net_cls");
    BERTH_RETURN_IF_ERROR(files.Set("net_cls.classid", resources.network_class_id));
  }
  for (const spec::InterfacePriority& entry : resources.network_priorities) {
    const Files files(group, "net_prio");
    BERTH_RETURN_IF_ERROR(
        files.Write("net_prio.ifpriomap", absl::StrCat(entry.name, " ", entry.priority)));
  }
  if (group.FindController("rdma") != nullptr || !group.unified().valid()) {
    const Files rdma(group, "rdma");
    for (const spec::RdmaLimit& limit : resources.rdma) {
      BERTH_RETURN_IF_ERROR(rdma.Write("rdma.max", RdmaLine(limit)));
    }
  }
  return absl::OkStatus();
}

// The v1 devices files take one rule for each write.
absl::Status ApplyDevices(const Cgroup& group, const std::vector<spec::DeviceRule>& rules) {
  const Directory* devices = group.FindController("devices");
  if (devices == nullptr || rules.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(UniqueFd allow, OpenAt(devices->fd, "devices.allow", O_WRONLY));
  BERTH_ASSIGN_OR_RETURN(UniqueFd deny, OpenAt(devices->fd, "devices.deny", O_WRONLY));
  for (const spec::DeviceRule& rule : WithDefaultDevices(rules)) {
    const std::string text = DeviceRuleText(rule);
    const UniqueFd& file = rule.allow ? allow : deny;
    if (::write(file.get(), text.data(), text.size()) < 0) {
      const int error = errno;
      return ErrnoStatus(
          error, absl::StrCat("write \"", text, "\" to"),
          absl::StrCat(devices->path, rule.allow ? "/devices.allow" : "/devices.deny"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyV1(const Cgroup& group, const spec::Resources& resources) {
  if (group.directories().empty() ||
      (group.directories().size() == 1 && group.directories().front().unified)) {
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(ApplyDevices(group, resources.devices));
  BERTH_RETURN_IF_ERROR(ApplyMemory(group, resources.memory));
  BERTH_RETURN_IF_ERROR(ApplyCpu(group, resources.cpu));
  BERTH_RETURN_IF_ERROR(ApplyBlockIo(group, resources.block_io));
  return ApplyOthers(group, resources);
}

}  // namespace berth::cgroup
