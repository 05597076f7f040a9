// events: what a container uses, once or at intervals, and when it runs out of memory.
#include <stdio.h>
#include <sys/epoll.h>

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/json/writer.h"
#include "base/loop/loop.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/cgroup.h"
#include "shim/cgroup/stats.h"
#include "shim/oci/commands.h"

namespace berth::oci {
namespace {

using json::Writer;

void Print(const std::string& text) {
  ::fwrite(text.data(), 1, text.size(), stdout);
  ::fputc('\n', stdout);
  ::fflush(stdout);
}

// Times are in nanoseconds everywhere.
struct CpuNumbers {
  uint64_t total = 0;
  uint64_t kernel = 0;
  uint64_t user = 0;
  uint64_t periods = 0;
  uint64_t throttled_periods = 0;
  uint64_t throttled_time = 0;
  std::vector<uint64_t> per_cpu;
};

void WriteCpu(Writer& writer, const CpuNumbers& cpu) {
  writer.Key("cpu").BeginObject().Key("usage").BeginObject().Key("total").Uint(cpu.total);
  if (!cpu.per_cpu.empty()) {
    writer.Key("percpu").BeginArray();
    for (uint64_t value : cpu.per_cpu) writer.Uint(value);
    writer.EndArray();
  }
  writer.Key("kernel").Uint(cpu.kernel).Key("user").Uint(cpu.user).EndObject();
  writer.Key("throttling").BeginObject().Key("periods").Uint(cpu.periods);
  writer.Key("throttledPeriods").Uint(cpu.throttled_periods);
  writer.Key("throttledTime").Uint(cpu.throttled_time).EndObject().EndObject();
}

void WriteMemory(Writer& writer, absl::string_view key, uint64_t limit, uint64_t usage,
                 uint64_t max, uint64_t failures) {
  writer.Key(key).BeginObject().Key("limit").Uint(limit).Key("usage").Uint(usage);
  writer.Key("max").Uint(max).Key("failcnt").Uint(failures).EndObject();
}

void WriteBlock(Writer& writer, uint64_t major, uint64_t minor, absl::string_view operation,
                uint64_t value) {
  writer.BeginObject().Key("major").Uint(major).Key("minor").Uint(minor);
  writer.Key("op").String(operation).Key("value").Uint(value).EndObject();
}

void WriteHugepages(Writer& writer, absl::string_view size, uint64_t usage, uint64_t max,
                    uint64_t failures) {
  writer.Key(size).BeginObject().Key("usage").Uint(usage).Key("max").Uint(max);
  writer.Key("failcnt").Uint(failures).EndObject();
}

void WriteV1(Writer& writer, const cgroup::Cgroup& group) {
  const auto metrics = cgroup::CollectV1(group);
  CpuNumbers cpu;
  cpu.total = metrics.cpu().usage().total();
  cpu.kernel = metrics.cpu().usage().kernel();
  cpu.user = metrics.cpu().usage().user();
  cpu.periods = metrics.cpu().throttling().periods();
  cpu.throttled_periods = metrics.cpu().throttling().throttled_periods();
  cpu.throttled_time = metrics.cpu().throttling().throttled_time();
  cpu.per_cpu.assign(metrics.cpu().usage().per_cpu().begin(),
                     metrics.cpu().usage().per_cpu().end());
  WriteCpu(writer, cpu);
  writer.Key("memory").BeginObject().Key("cache").Uint(metrics.memory().total_cache());
  for (const auto& [key, entry] :
       {std::pair("usage", &metrics.memory().usage()), std::pair("swap", &metrics.memory().swap()),
        std::pair("kernel", &metrics.memory().kernel()),
        std::pair("kernelTCP", &metrics.memory().kernel_tcp())}) {
    WriteMemory(writer, key, entry->limit(), entry->usage(), entry->max(), entry->failcnt());
  }
  writer.EndObject().Key("pids").BeginObject().Key("current").Uint(metrics.pids().current());
  writer.Key("limit").Uint(metrics.pids().limit()).EndObject().Key("blkio").BeginObject();
  for (const auto& [key, entries] :
       {std::pair("ioServiceBytesRecursive", &metrics.blkio().io_service_bytes_recursive()),
        std::pair("ioServicedRecursive", &metrics.blkio().io_serviced_recursive())}) {
    writer.Key(key).BeginArray();
    for (const auto& entry : *entries) {
      WriteBlock(writer, entry.major(), entry.minor(), entry.op(), entry.value());
    }
    writer.EndArray();
  }
  writer.EndObject().Key("hugetlb").BeginObject();
  for (const auto& entry : metrics.hugetlb()) {
    WriteHugepages(writer, entry.pagesize(), entry.usage(), entry.max(), entry.failcnt());
  }
  writer.EndObject();
}

void WriteV2(Writer& writer, const cgroup::Cgroup& group) {
  const auto metrics = cgroup::CollectV2(group);
  CpuNumbers cpu;
  cpu.total = metrics.cpu().usage_usec() * 1000;
  cpu.kernel = metrics.cpu().system_usec() * 1000;
  cpu.user = metrics.cpu().user_usec() * 1000;
  cpu.periods = metrics.cpu().nr_periods();
  cpu.throttled_periods = metrics.cpu().nr_throttled();
  cpu.throttled_time = metrics.cpu().throttled_usec() * 1000;
  WriteCpu(writer, cpu);
  const auto& memory = metrics.memory();
  writer.Key("memory").BeginObject().Key("cache").Uint(memory.file());
  WriteMemory(writer, "usage", memory.usage_limit(), memory.usage(), memory.max_usage(),
              metrics.memory_events().max());
  WriteMemory(writer, "swap", memory.swap_limit(), memory.swap_usage(), memory.swap_max_usage(), 0);
  writer.EndObject().Key("pids").BeginObject().Key("current").Uint(metrics.pids().current());
  writer.Key("limit").Uint(metrics.pids().limit()).EndObject().Key("blkio").BeginObject();
  writer.Key("ioServiceBytesRecursive").BeginArray();
  for (const auto& entry : metrics.io().usage()) {
    WriteBlock(writer, entry.major(), entry.minor(), "Read", entry.rbytes());
    WriteBlock(writer, entry.major(), entry.minor(), "Write", entry.wbytes());
  }
  writer.EndArray().Key("ioServicedRecursive").BeginArray();
  for (const auto& entry : metrics.io().usage()) {
    WriteBlock(writer, entry.major(), entry.minor(), "Read", entry.rios());
    WriteBlock(writer, entry.major(), entry.minor(), "Write", entry.wios());
  }
  writer.EndArray().EndObject().Key("hugetlb").BeginObject();
  for (const auto& entry : metrics.hugetlb()) {
    WriteHugepages(writer, entry.pagesize(), entry.current(), 0, 0);
  }
  writer.EndObject();
}

// runc's own form of statistics.
std::string StatsJson(const std::string& id, const cgroup::Cgroup& group) {
  Writer writer;
  writer.BeginObject().Key("type").String("stats").Key("id").String(id).Key("data").BeginObject();
  if (cgroup::UsesV1(group)) {
    WriteV1(writer, group);
  } else {
    WriteV2(writer, group);
  }
  writer.EndObject().EndObject();
  return writer.Take();
}

std::string OomJson(const std::string& id) {
  Writer writer;
  writer.BeginObject().Key("type").String("oom").Key("id").String(id).EndObject();
  return writer.Take();
}

// Until the container's init has ended.
absl::Status Follow(launch::Container& container, Loop& loop, const ContainerRecord& record,
                    absl::Duration interval) {
  const cgroup::Cgroup group = cgroup::Cgroup::Open(record.cgroup_paths);
  // Without a memory controller nothing is said of its memory.
  container.WatchOom([&record] { Print(OomJson(record.id)); }).IgnoreError();
  bool ended = false;
  BERTH_ASSIGN_OR_RETURN(const FdWatch on_end, loop.Watch(container.init_pidfd(), EPOLLIN,
                                                          [&](uint32_t) { ended = true; }));
  TimerId timer = TimerId::kNone;
  std::function<void()> tick = [&] {
    Print(StatsJson(record.id, group));
    timer = loop.After(interval, [&] { tick(); });
  };
  timer = loop.After(interval, [&] { tick(); });
  absl::Status status;
  while (!ended && status.ok()) status = loop.RunOnce(absl::Hours(1));
  loop.Cancel(timer);
  return status;
}

}  // namespace

absl::StatusOr<int> RunEvents(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  absl::Duration interval = absl::Seconds(5);
  if (context.options.Has("interval") &&
      (!absl::ParseDuration(context.options.Get("interval"), &interval) ||
       interval <= absl::ZeroDuration())) {
    return absl::InvalidArgumentError("--interval: expected a duration such as 5s");
  }
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, context.store.Load(id));
  if (context.store.StateOf(record) == RuntimeState::kStopped) {
    return absl::FailedPreconditionError(absl::StrCat("container with id ", id, " is not running"));
  }
  if (record.cgroup_paths.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", id, " has no cgroup that would count for it"));
  }
  if (context.options.Has("stats")) {
    Print(StatsJson(id, cgroup::Cgroup::Open(record.cgroup_paths)));
    return 0;
  }
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<launch::Container> container,
      launch::Container::Attach(*loop, ToCleanupRecord(record), context.store.SeccompCache()));
  BERTH_RETURN_IF_ERROR(Follow(*container, *loop, record, interval));
  return 0;
}

}  // namespace berth::oci
