#include <errno.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/cgroup.h"
#include "shim/cgroup/device_filter.h"
#include "shim/cgroup/limits.h"

namespace berth::cgroup {
namespace {

class Files {
 public:
  explicit Files(const Directory& directory) : directory_(directory) {}
  absl::Status Write(absl::string_view file, absl::string_view value) const {
    absl::Status status = WriteControlFileAt(directory_.fd, file, value);
    if (status.ok()) return status;
    if (ErrnoOf(status) == ENOENT) {
      return absl::UnimplementedError(
          absl::StrCat("the specification sets ", file, ", but its controller is not enabled in ",
                       directory_.path, " (see cgroup.controllers there)"));
    }
    return Annotate(status, absl::StrCat("cgroup ", directory_.path));
  }

 private:
  const Directory& directory_;
};

// -1 is how the specification says "no limit".
std::string BytesOrMax(int64_t bytes) { return bytes == -1 ? "max" : absl::StrCat(bytes); }

// v1 limits memory and swap together; v2 limits swap by itself.
absl::StatusOr<std::string> SwapMax(const spec::MemoryLimits& memory) {
  const int64_t both = *memory.swap_bytes;
  if (both == -1) return std::string("max");
  const int64_t limit = memory.limit_bytes.value_or(0);
  if (limit == -1 || limit == 0) {
    return absl::InvalidArgumentError(
        "$.linux.resources.memory.swap: needs a memory limit, for it counts memory and swap");
  }
  if (both < limit) {
    return absl::InvalidArgumentError(absl::StrCat(
        "$.linux.resources.memory.swap: ", both, " (memory plus swap) is below the limit ", limit));
  }
  return absl::StrCat(both - limit);
}

absl::Status ApplyMemory(const Files& files, const Directory& directory,
                         const spec::MemoryLimits& memory) {
  if (memory.check_before_update && memory.limit_bytes && *memory.limit_bytes > 0) {
    BERTH_ASSIGN_OR_RETURN(const std::string usage, ReadFileAt(directory.fd, "memory.current"));
    int64_t used = 0;
    if (absl::SimpleAtoi(usage, &used) && used > *memory.limit_bytes) {
      return absl::FailedPreconditionError(absl::StrCat(
          "memory limit ", *memory.limit_bytes, " is below the current usage of ", used, " bytes"));
    }
  }
  if (memory.swap_bytes && *memory.swap_bytes != 0) {
    BERTH_ASSIGN_OR_RETURN(const std::string swap, SwapMax(memory));
    absl::Status status = files.Write("memory.swap.max", swap);
    // Without swap in the kernel there is nothing to limit.
    if (!status.ok() && !(absl::IsUnimplemented(status) && (swap == "max" || swap == "0"))) {
      return status;
    }
  }
  if (memory.reservation_bytes && *memory.reservation_bytes != 0) {
    BERTH_RETURN_IF_ERROR(files.Write("memory.low", BytesOrMax(*memory.reservation_bytes)));
  }
  if (memory.limit_bytes && *memory.limit_bytes != 0) {
    BERTH_RETURN_IF_ERROR(files.Write("memory.max", BytesOrMax(*memory.limit_bytes)));
  }
  return absl::OkStatus();
}

absl::Status ApplyCpu(const Files& files, const spec::CpuLimits& cpu) {
  if (cpu.idle) {
    BERTH_RETURN_IF_ERROR(files.Write("cpu.idle", absl::StrCat(*cpu.idle)));
  }
  if (cpu.shares && *cpu.shares != 0 && cpu.idle.value_or(0) != 1) {
    BERTH_RETURN_IF_ERROR(files.Write("cpu.weight", absl::StrCat(SharesToWeight(*cpu.shares))));
  }
  if (cpu.burst_us && *cpu.burst_us == 0) {
    BERTH_RETURN_IF_ERROR(files.Write("cpu.max.burst", "0"));
  }
  const int64_t quota = cpu.quota_us.value_or(0);
  const uint64_t period = cpu.period_us.value_or(0);
  if (quota != 0 || period != 0) {
    std::string line = quota > 0 ? absl::StrCat(quota) : "max";
    absl::StrAppend(&line, " ", period != 0 ? period : 100000);
    BERTH_RETURN_IF_ERROR(files.Write("cpu.max", line));
  }
  if (cpu.burst_us && *cpu.burst_us != 0) {
    BERTH_RETURN_IF_ERROR(files.Write("cpu.max.burst", absl::StrCat(*cpu.burst_us)));
  }
  if (!cpu.cpus.empty()) {
    BERTH_RETURN_IF_ERROR(files.Write("cpuset.cpus", cpu.cpus));
  }
  if (!cpu.mems.empty()) {
    BERTH_RETURN_IF_ERROR(files.Write("cpuset.mems", cpu.mems));
  }
  return absl::OkStatus();
}

absl::Status ApplyThrottles(const Files& files, absl::string_view key,
                            const std::vector<spec::BlockDeviceValue>& values) {
  for (const spec::BlockDeviceValue& value : values) {
    const std::string rate = value.value == 0 ? "max" : absl::StrCat(value.value);
    BERTH_RETURN_IF_ERROR(
        files.Write("io.max", absl::StrCat(value.major, ":", value.minor, " ", key, "=", rate)));
  }
  return absl::OkStatus();
}

absl::Status ApplyBlockIo(const Files& files, const spec::BlockIoLimits& limits) {
  if (limits.weight && *limits.weight != 0) {
    absl::Status status = files.Write("io.bfq.weight", absl::StrCat(*limits.weight));
    if (absl::IsUnimplemented(status)) {
      // blkio's 10 to 1000 stretched over io.weight's 1 to 10000.
      const uint64_t weight = 1 + (*limits.weight - 10) * 9999 / 990;
      status = files.Write("io.weight", absl::StrCat("default ", weight));
    }
    BERTH_RETURN_IF_ERROR(status);
  }
  for (const spec::BlockWeight& device : limits.weight_devices) {
    if (!device.weight) continue;
    BERTH_RETURN_IF_ERROR(files.Write(
        "io.bfq.weight", absl::StrCat(device.major, ":", device.minor, " ", *device.weight)));
  }
  BERTH_RETURN_IF_ERROR(ApplyThrottles(files, "rbps", limits.read_bps));
  BERTH_RETURN_IF_ERROR(ApplyThrottles(files, "wbps", limits.write_bps));
  BERTH_RETURN_IF_ERROR(ApplyThrottles(files, "riops", limits.read_iops));
  return ApplyThrottles(files, "wiops", limits.write_iops);
}

}  // namespace

absl::Status ApplyV2(const Directory& directory, const spec::Resources& resources) {
  const Files files(directory);
  BERTH_RETURN_IF_ERROR(ApplyCpu(files, resources.cpu));
  BERTH_RETURN_IF_ERROR(ApplyBlockIo(files, resources.block_io));
  if (resources.pids_limit) {
    BERTH_RETURN_IF_ERROR(files.Write(
        "pids.max", *resources.pids_limit > 0 ? absl::StrCat(*resources.pids_limit) : "max"));
  }
  for (const spec::HugepageLimit& limit : resources.hugepages) {
    const std::string bytes = absl::StrCat(limit.limit_bytes);
    BERTH_RETURN_IF_ERROR(files.Write(absl::StrCat("hugetlb.", limit.page_size, ".max"), bytes));
    // Reservations have a limit of their own since Linux 5.7; where it is missing, pages are
    // limited.
    files.Write(absl::StrCat("hugetlb.", limit.page_size, ".rsvd.max"), bytes).IgnoreError();
  }
  for (const spec::RdmaLimit& limit : resources.rdma) {
    BERTH_RETURN_IF_ERROR(files.Write("rdma.max", RdmaLine(limit)));
  }
  // Last of the limits: what set-up needs is charged by then.
  BERTH_RETURN_IF_ERROR(ApplyMemory(files, directory, resources.memory));
  for (const auto& [file, value] : resources.unified) {
    BERTH_RETURN_IF_ERROR(files.Write(file, value)) << "$.linux.resources.unified";
  }
  return absl::OkStatus();
}

}  // namespace berth::cgroup
