#include <fcntl.h>

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

namespace v2 = io::containerd::cgroups::v2;

struct MemoryField {
  absl::string_view key;
  void (v2::MemoryStat::*set)(uint64_t);
};
constexpr MemoryField kMemoryFields[] = {
    {"anon", &v2::MemoryStat::set_anon},
    {"file", &v2::MemoryStat::set_file},
    {"kernel_stack", &v2::MemoryStat::set_kernel_stack},
    {"slab", &v2::MemoryStat::set_slab},
    {"sock", &v2::MemoryStat::set_sock},
    {"shmem", &v2::MemoryStat::set_shmem},
    {"file_mapped", &v2::MemoryStat::set_file_mapped},
    {"file_dirty", &v2::MemoryStat::set_file_dirty},
    {"file_writeback", &v2::MemoryStat::set_file_writeback},
    {"anon_thp", &v2::MemoryStat::set_anon_thp},
    {"inactive_anon", &v2::MemoryStat::set_inactive_anon},
    {"active_anon", &v2::MemoryStat::set_active_anon},
    {"inactive_file", &v2::MemoryStat::set_inactive_file},
    {"active_file", &v2::MemoryStat::set_active_file},
    {"unevictable", &v2::MemoryStat::set_unevictable},
    {"slab_reclaimable", &v2::MemoryStat::set_slab_reclaimable},
    {"slab_unreclaimable", &v2::MemoryStat::set_slab_unreclaimable},
    {"pgfault", &v2::MemoryStat::set_pgfault},
    {"pgmajfault", &v2::MemoryStat::set_pgmajfault},
    {"workingset_refault", &v2::MemoryStat::set_workingset_refault},
    {"workingset_activate", &v2::MemoryStat::set_workingset_activate},
    {"workingset_nodereclaim", &v2::MemoryStat::set_workingset_nodereclaim},
    {"pgrefill", &v2::MemoryStat::set_pgrefill},
    {"pgscan", &v2::MemoryStat::set_pgscan},
    {"pgsteal", &v2::MemoryStat::set_pgsteal},
    {"pgactivate", &v2::MemoryStat::set_pgactivate},
    {"pgdeactivate", &v2::MemoryStat::set_pgdeactivate},
    {"pglazyfree", &v2::MemoryStat::set_pglazyfree},
    {"pglazyfreed", &v2::MemoryStat::set_pglazyfreed},
    {"thp_fault_alloc", &v2::MemoryStat::set_thp_fault_alloc},
    {"thp_collapse_alloc", &v2::MemoryStat::set_thp_collapse_alloc}};

void CollectMemory(BorrowedFd directory, v2::Metrics& metrics) {
  v2::MemoryStat& memory = *metrics.mutable_memory();
  for (const auto& [key, value] : ReadFlatKeyed(directory, "memory.stat")) {
    for (const MemoryField& field : kMemoryFields) {
      if (field.key == key) (memory.*field.set)(value);
    }
  }
  memory.set_usage(ReadNumber(directory, "memory.current"));
  memory.set_usage_limit(ReadNumber(directory, "memory.max"));
  memory.set_max_usage(ReadNumber(directory, "memory.peak"));
  memory.set_swap_usage(ReadNumber(directory, "memory.swap.current"));
  memory.set_swap_limit(ReadNumber(directory, "memory.swap.max"));
  memory.set_swap_max_usage(ReadNumber(directory, "memory.swap.peak"));
  v2::MemoryEvents& events = *metrics.mutable_memory_events();
  for (const auto& [key, value] : ReadFlatKeyed(directory, "memory.events")) {
    if (key == "low") events.set_low(value);
    if (key == "high") events.set_high(value);
    if (key == "max") events.set_max(value);
    if (key == "oom") events.set_oom(value);
    if (key == "oom_kill") events.set_oom_kill(value);
  }
}

void CollectCpu(BorrowedFd directory, v2::CPUStat& cpu) {
  for (const auto& [key, value] : ReadFlatKeyed(directory, "cpu.stat")) {
    if (key == "usage_usec") cpu.set_usage_usec(value);
    if (key == "user_usec") cpu.set_user_usec(value);
    if (key == "system_usec") cpu.set_system_usec(value);
    if (key == "nr_periods") cpu.set_nr_periods(value);
    if (key == "nr_throttled") cpu.set_nr_throttled(value);
    if (key == "throttled_usec") cpu.set_throttled_usec(value);
  }
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
void CollectIo(BorrowedFd directory, v2::IOStat& io) {
  absl::StatusOr<std::string> text = ReadFileAt(directory, "io.stat");
  if (!text.ok()) return;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    v2::IOEntry entry;
    for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      uint64_t value = 0;
      if (absl::ConsumePrefix(&word, "rbytes=") && absl::SimpleAtoi(word, &value)) {
        entry.set_rbytes(value);
      } else if (absl::ConsumePrefix(&word, "wbytes=") && absl::SimpleAtoi(word, &value)) {
        entry.set_wbytes(value);
      } else if (absl::ConsumePrefix(&word, "rios=") && absl::SimpleAtoi(word, &value)) {
        entry.set_rios(value);
      } else if (absl::ConsumePrefix(&word, "wios=") && absl::SimpleAtoi(word, &value)) {
        entry.set_wios(value);
      } else if (absl::StrContains(word, ':')) {
        const std::pair<absl::string_view, absl::string_view> numbers = absl::StrSplit(word, ':');
        if (absl::SimpleAtoi(numbers.first, &value)) entry.set_major(value);
        if (absl::SimpleAtoi(numbers.second, &value)) entry.set_minor(value);
      }
    }
    *io.add_usage() = entry;
  }
}

void CollectHugepages(BorrowedFd directory, v2::Metrics& metrics) {
  absl::StatusOr<UniqueFd> readable = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!readable.ok()) return;
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(*readable);
  if (!names.ok()) return;
  for (absl::string_view name : *names) {
    absl::string_view size = name;
    if (!absl::ConsumePrefix(&size, "hugetlb.") || !absl::ConsumeSuffix(&size, ".current") ||
        absl::StrContains(size, "rsvd")) {
      continue;
    }
    v2::HugeTlbStat* stat = metrics.add_hugetlb();
    stat->set_pagesize(std::string(size));
    stat->set_current(ReadNumber(directory, name));
    stat->set_max(ReadNumber(directory, absl::StrCat("hugetlb.", size, ".max")));
  }
}

}  // namespace

v2::Metrics CollectV2(const Cgroup& group) {
  v2::Metrics metrics;
  const BorrowedFd directory = group.unified();
  if (!directory.valid()) return metrics;
  metrics.mutable_pids()->set_current(ReadNumber(directory, "pids.current"));
  const uint64_t limit = ReadNumber(directory, "pids.max");
  metrics.mutable_pids()->set_limit(limit == std::numeric_limits<uint64_t>::max() ? 0 : limit);
  CollectMemory(directory, metrics);
  CollectCpu(directory, *metrics.mutable_cpu());
  CollectIo(directory, *metrics.mutable_io());
  CollectHugepages(directory, metrics);
  return metrics;
}

}  // namespace berth::cgroup
