#include "server/engine/task_metrics.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "proto/containerd/cgroups/v1/metrics.pb.h"
#include "proto/containerd/cgroups/v2/metrics.pb.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

namespace cgroups_v1 = io::containerd::cgroups::v1;
namespace cgroups_v2 = io::containerd::cgroups::v2;

uint64_t Without(uint64_t usage, uint64_t cache) { return usage > cache ? usage - cache : 0; }

void ReadV1(const cgroups_v1::Metrics& metrics, v1::ContainerStats& stats) {
  stats.set_cpu_usage_ns(metrics.cpu().usage().total());
  stats.set_memory_usage_bytes(
      Without(metrics.memory().usage().usage(), metrics.memory().total_inactive_file()));
  stats.set_memory_limit_bytes(metrics.memory().usage().limit());
  stats.set_pids(metrics.pids().current());
  stats.set_pids_limit(metrics.pids().limit());
  for (const auto& entry : metrics.blkio().io_service_bytes_recursive()) {
    if (absl::EqualsIgnoreCase(entry.op(), "read")) {
      stats.set_block_read_bytes(stats.block_read_bytes() + entry.value());
    } else if (absl::EqualsIgnoreCase(entry.op(), "write")) {
      stats.set_block_written_bytes(stats.block_written_bytes() + entry.value());
    }
  }
}

void ReadV2(const cgroups_v2::Metrics& metrics, v1::ContainerStats& stats) {
  stats.set_cpu_usage_ns(metrics.cpu().usage_usec() * 1000);
  stats.set_memory_usage_bytes(Without(metrics.memory().usage(), metrics.memory().inactive_file()));
  stats.set_memory_limit_bytes(metrics.memory().usage_limit());
  stats.set_pids(metrics.pids().current());
  stats.set_pids_limit(metrics.pids().limit());
  for (const auto& entry : metrics.io().usage()) {
    stats.set_block_read_bytes(stats.block_read_bytes() + entry.rbytes());
    stats.set_block_written_bytes(stats.block_written_bytes() + entry.wbytes());
  }
}

}  // namespace

uint64_t MachineMemory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

void ReadMetrics(const google::protobuf::Any& data, uint64_t machine_memory,
                 v1::ContainerStats& stats) {
  if (absl::EndsWith(data.type_url(), "cgroups.v2.Metrics")) {
    cgroups_v2::Metrics metrics;
    if (metrics.ParseFromString(data.value())) ReadV2(metrics, stats);
  } else {
    cgroups_v1::Metrics metrics;
    if (metrics.ParseFromString(data.value())) ReadV1(metrics, stats);
  }
  // "No limit" is a very large number there.
  if (stats.memory_limit_bytes() == 0 || stats.memory_limit_bytes() > machine_memory) {
    stats.set_memory_limit_bytes(machine_memory);
  }
  if (stats.memory_limit_bytes() > 0) {
    stats.set_memory_percent(100.0 * static_cast<double>(stats.memory_usage_bytes()) /
                             static_cast<double>(stats.memory_limit_bytes()));
  }
  stats.set_online_cpus(static_cast<uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
}

void ReadNetwork(int pid, v1::ContainerStats& stats) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/net/dev"), 1 << 20);
  if (!text.ok()) return;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (parts.size() != 2 || absl::StripAsciiWhitespace(parts[0]) == "lo") continue;
    const std::vector<absl::string_view> fields = absl::StrSplit(parts[1], ' ', absl::SkipEmpty());
    uint64_t received = 0;
    uint64_t sent = 0;
    if (fields.size() < 9 || !absl::SimpleAtoi(fields[0], &received) ||
        !absl::SimpleAtoi(fields[8], &sent)) {
      continue;
    }
    stats.set_network_received_bytes(stats.network_received_bytes() + received);
    stats.set_network_sent_bytes(stats.network_sent_bytes() + sent);
  }
}

void Compare(const v1::ContainerStats& previous, v1::ContainerStats& stats) {
  *stats.mutable_previous_read_at() = previous.read_at();
  stats.set_previous_cpu_usage_ns(previous.cpu_usage_ns());
  const absl::Duration passed =
      metadata::FromTimestamp(stats.read_at()) - metadata::FromTimestamp(previous.read_at());
  if (passed <= absl::ZeroDuration() || stats.cpu_usage_ns() < previous.cpu_usage_ns()) return;
  stats.set_cpu_percent(100.0 *
                        static_cast<double>(stats.cpu_usage_ns() - previous.cpu_usage_ns()) /
                        absl::ToDoubleNanoseconds(passed));
}

}  // namespace berth::engine
