#include <fcntl.h>
#include <unistd.h>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "shim/cgroup/stats.h"

namespace berth::cgroup {
namespace {

namespace v1 = io::containerd::cgroups::v1;

struct MemoryField {
  absl::string_view key;
  void (v1::MemoryStat::*set)(uint64_t);
};
constexpr MemoryField kMemoryFields[] = {
    {"cache", &v1::MemoryStat::set_cache},
    {"rss", &v1::MemoryStat::set_rss},
    {"rss_huge", &v1::MemoryStat::set_rss_huge},
    {"mapped_file", &v1::MemoryStat::set_mapped_file},
    {"dirty", &v1::MemoryStat::set_dirty},
    {"writeback", &v1::MemoryStat::set_writeback},
    {"pgpgin", &v1::MemoryStat::set_pg_pg_in},
    {"pgpgout", &v1::MemoryStat::set_pg_pg_out},
    {"pgfault", &v1::MemoryStat::set_pg_fault},
    {"pgmajfault", &v1::MemoryStat::set_pg_maj_fault},
    {"inactive_anon", &v1::MemoryStat::set_inactive_anon},
    {"active_anon", &v1::MemoryStat::set_active_anon},
    {"inactive_file", &v1::MemoryStat::set_inactive_file},
    {"active_file", &v1::MemoryStat::set_active_file},
    {"unevictable", &v1::MemoryStat::set_unevictable},
    {"hierarchical_memory_limit", &v1::MemoryStat::set_hierarchical_memory_limit},
    {"hierarchical_memsw_limit", &v1::MemoryStat::set_hierarchical_swap_limit},
    {"total_cache", &v1::MemoryStat::set_total_cache},
    {"total_rss", &v1::MemoryStat::set_total_rss},
    {"total_rss_huge", &v1::MemoryStat::set_total_rss_huge},
    {"total_mapped_file", &v1::MemoryStat::set_total_mapped_file},
    {"total_dirty", &v1::MemoryStat::set_total_dirty},
    {"total_writeback", &v1::MemoryStat::set_total_writeback},
    {"total_pgpgin", &v1::MemoryStat::set_total_pg_pg_in},
    {"total_pgpgout", &v1::MemoryStat::set_total_pg_pg_out},
    {"total_pgfault", &v1::MemoryStat::set_total_pg_fault},
    {"total_pgmajfault", &v1::MemoryStat::set_total_pg_maj_fault},
    {"total_inactive_anon", &v1::MemoryStat::set_total_inactive_anon},
    {"total_active_anon", &v1::MemoryStat::set_total_active_anon},
    {"total_inactive_file", &v1::MemoryStat::set_total_inactive_file},
    {"total_active_file", &v1::MemoryStat::set_total_active_file},
    {"total_unevictable", &v1::MemoryStat::set_total_unevictable}};

// `prefix`: "memory" or "memory.memsw"; false when the kernel has no such counter.
bool ReadEntry(BorrowedFd directory, absl::string_view prefix,
               v1::MemoryEntry* (v1::MemoryStat::*entry)(), v1::MemoryStat& memory) {
  if (!ReadFileAt(directory, absl::StrCat(prefix, ".usage_in_bytes")).ok()) return false;
  v1::MemoryEntry* out = (memory.*entry)();
  out->set_usage(ReadNumber(directory, absl::StrCat(prefix, ".usage_in_bytes")));
  out->set_limit(ReadNumber(directory, absl::StrCat(prefix, ".limit_in_bytes")));
  out->set_max(ReadNumber(directory, absl::StrCat(prefix, ".max_usage_in_bytes")));
  out->set_failcnt(ReadNumber(directory, absl::StrCat(prefix, ".failcnt")));
  return true;
}

void CollectMemory(BorrowedFd directory, v1::Metrics& metrics) {
  v1::MemoryStat& memory = *metrics.mutable_memory();
  for (const auto& [key, value] : ReadFlatKeyed(directory, "memory.stat")) {
    for (const MemoryField& field : kMemoryFields) {
      if (field.key == key) (memory.*field.set)(value);
    }
  }
  ReadEntry(directory, "memory", &v1::MemoryStat::mutable_usage, memory);
  ReadEntry(directory, "memory.memsw", &v1::MemoryStat::mutable_swap, memory);
  ReadEntry(directory, "memory.kmem", &v1::MemoryStat::mutable_kernel, memory);
  ReadEntry(directory, "memory.kmem.tcp", &v1::MemoryStat::mutable_kernel_tcp, memory);
  v1::MemoryOomControl& oom = *metrics.mutable_memory_oom_control();
  for (const auto& [key, value] : ReadFlatKeyed(directory, "memory.oom_control")) {
    if (key == "oom_kill_disable") oom.set_oom_kill_disable(value);
    if (key == "under_oom") oom.set_under_oom(value);
    if (key == "oom_kill") oom.set_oom_kill(value);
  }
}

void CollectCpu(const Cgroup& group, v1::Metrics& metrics) {
  if (const Directory* cpuacct = group.FindController("cpuacct")) {
    v1::CPUUsage& usage = *metrics.mutable_cpu()->mutable_usage();
    usage.set_total(ReadNumber(cpuacct->fd, "cpuacct.usage"));
    usage.set_user(ReadNumber(cpuacct->fd, "cpuacct.usage_user"));
    usage.set_kernel(ReadNumber(cpuacct->fd, "cpuacct.usage_sys"));
    absl::StatusOr<std::string> each = ReadFileAt(cpuacct->fd, "cpuacct.usage_percpu");
    if (each.ok()) {
      for (absl::string_view part :
           absl::StrSplit(*each, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
        uint64_t value = 0;
        if (absl::SimpleAtoi(part, &value)) usage.add_per_cpu(value);
      }
    }
  }
  if (const Directory* cpu = group.FindController("cpu")) {
    v1::Throttle& throttling = *metrics.mutable_cpu()->mutable_throttling();
    for (const auto& [key, value] : ReadFlatKeyed(cpu->fd, "cpu.stat")) {
      if (key == "nr_periods") throttling.set_periods(value);
      if (key == "nr_throttled") throttling.set_throttled_periods(value);
      if (key == "throttled_time") throttling.set_throttled_time(value);
    }
  }
}

// "8:0 Read 4096": device, operation, value; the line "Total 4096" sums all.
void CollectBlock(BorrowedFd directory, absl::string_view file,
                  v1::BlkIOEntry* (v1::BlkIOStat::*add)(), v1::BlkIOStat& block) {
  absl::StatusOr<std::string> text = ReadFileAt(directory, file);
  if (!text.ok()) return;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::ByAnyChar(" :"));
    if (fields.size() != 4) continue;
    uint64_t major = 0;
    uint64_t minor = 0;
    uint64_t value = 0;
    if (!absl::SimpleAtoi(fields[0], &major) || !absl::SimpleAtoi(fields[1], &minor) ||
        !absl::SimpleAtoi(fields[3], &value)) {
      continue;
    }
    v1::BlkIOEntry* entry = (block.*add)();
    entry->set_op(std::string(fields[2]));
    entry->set_major(major);
    entry->set_minor(minor);
    entry->set_value(value);
    // /sys/dev/block/8:0 is a link whose last part is the name.
    char link[512];
    const ssize_t size =
        ::readlink(absl::StrCat("/sys/dev/block/", major, ":", minor).c_str(), link, sizeof(link));
    if (size > 0) {
      const absl::string_view target(link, static_cast<size_t>(size));
      entry->set_device(absl::StrCat("/dev/", target.substr(target.rfind('/') + 1)));
    }
  }
}

void CollectBlocks(BorrowedFd directory, v1::BlkIOStat& block) {
  CollectBlock(directory, "blkio.throttle.io_service_bytes_recursive",
               &v1::BlkIOStat::add_io_service_bytes_recursive, block);
  CollectBlock(directory, "blkio.throttle.io_serviced_recursive",
               &v1::BlkIOStat::add_io_serviced_recursive, block);
}

void CollectHugepages(BorrowedFd directory, v1::Metrics& metrics) {
  absl::StatusOr<UniqueFd> readable = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!readable.ok()) return;
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(*readable);
  if (!names.ok()) return;
  for (absl::string_view name : *names) {
    absl::string_view size = name;
    if (!absl::ConsumePrefix(&size, "hugetlb.") || !absl::ConsumeSuffix(&size, ".usage_in_bytes") ||
        absl::StrContains(size, "rsvd")) {
      continue;
    }
    v1::HugetlbStat* stat = metrics.add_hugetlb();
    stat->set_pagesize(std::string(size));
    stat->set_usage(ReadNumber(directory, name));
    stat->set_max(ReadNumber(directory, absl::StrCat("hugetlb.", size, ".max_usage_in_bytes")));
    stat->set_failcnt(ReadNumber(directory, absl::StrCat("hugetlb.", size, ".failcnt")));
  }
}

}  // namespace

v1::Metrics CollectV1(const Cgroup& group) {
  v1::Metrics metrics;
  if (const Directory* memory = group.FindController("memory")) CollectMemory(memory->fd, metrics);
  CollectCpu(group, metrics);
  if (const Directory* pids = group.FindController("pids")) {
    metrics.mutable_pids()->set_current(ReadNumber(pids->fd, "pids.current"));
    const uint64_t limit = ReadNumber(pids->fd, "pids.max");
    // containerd reports no limit as 0.
    metrics.mutable_pids()->set_limit(limit == std::numeric_limits<uint64_t>::max() ? 0 : limit);
  }
  if (const Directory* blkio = group.FindController("blkio")) {
    CollectBlocks(blkio->fd, *metrics.mutable_blkio());
  }
  if (const Directory* hugetlb = group.FindController("hugetlb")) {
    CollectHugepages(hugetlb->fd, metrics);
  }
  return metrics;
}

}  // namespace berth::cgroup
