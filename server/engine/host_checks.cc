#include "server/engine/host_checks.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr char kOnlineCpus[] = "/sys/devices/system/cpu/online";
constexpr char kOnlineNodes[] = "/sys/devices/system/node/online";
constexpr int kMostNumbers = 1 << 16;

absl::Status Refused(absl::string_view why) { return absl::InvalidArgumentError(why); }

// `what` is "CPUs" or "memory nodes"; a machine without the file has number 0 alone.
absl::Status CheckNumbers(absl::string_view option, absl::string_view what, absl::string_view asked,
                          const char* file) {
  if (asked.empty()) return absl::OkStatus();
  const absl::StatusOr<std::set<int>> wanted = ParseNumberList(asked);
  if (!wanted.ok()) return Refused(absl::StrCat("Invalid value ", asked, " for ", option));
  const absl::StatusOr<std::string> text = ReadFile(file, 4096);
  const std::string online(text.ok() ? absl::StripAsciiWhitespace(*text) : "0");
  BERTH_ASSIGN_OR_RETURN(const std::set<int> available, ParseNumberList(online), _ << file);
  if (std::includes(available.begin(), available.end(), wanted->begin(), wanted->end())) {
    return absl::OkStatus();
  }
  return Refused(absl::StrCat("Requested ", what, " are not available - requested ", asked,
                              ", available: ", online));
}

absl::Status CheckCpus(const v1::Resources& r) {
  const int64_t count = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  const bool is_limited = r.nano_cpus() != 0;
  if (is_limited && (r.nano_cpus() < 10'000'000 || r.nano_cpus() > count * 1'000'000'000)) {
    return Refused(absl::StrCat("Range of CPUs is from 0.01 to ", count, ".00, as there are only ",
                                count, " CPUs available"));
  }
  BERTH_RETURN_IF_ERROR(CheckNumbers("cpuset cpus", "CPUs", r.cpuset_cpus(), kOnlineCpus));
  return CheckNumbers("cpuset mems", "memory nodes", r.cpuset_mems(), kOnlineNodes);
}

// Settings that a namespace of the container's own has; another would change the host.
bool IsNamespaced(absl::string_view key) {
  for (absl::string_view known :
       {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
        "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.domainname",
        "kernel.hostname"}) {
    if (key == known) return true;
  }
  return absl::StartsWith(key, "net.") || absl::StartsWith(key, "fs.mqueue.");
}

absl::Status CheckSysctls(const v1::HostConfig& host) {
  for (const auto& [key, value] : host.sysctls()) {
    // "net/ipv4/conf/eth0.1/x": with slashes, dots belong to the names between them.
    std::string name = key;
    if (absl::StrContains(name, '/')) std::replace(name.begin(), name.end(), '/', '.');
    if (!IsNamespaced(name)) {
      return Refused(absl::StrCat("--sysctl '", key,
                                  "' is not allowed: it belongs to no namespace of ",
                                  "the container and would change the host"));
    }
    const bool is_network = absl::StartsWith(name, "net.");
    const bool is_ipc = !is_network && name != "kernel.domainname" && name != "kernel.hostname";
    if (is_network && host.network_mode() == "host") {
      return Refused(absl::StrCat("--sysctl '", key,
                                  "' is not allowed with --network host: it "
                                  "would change the host"));
    }
    if (is_ipc && host.ipc_mode() == "host") {
      return Refused(absl::StrCat("--sysctl '", key,
                                  "' is not allowed with --ipc host: it would "
                                  "change the host"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNames(const v1::ContainerConfig& config, const v1::HostConfig& host) {
  const bool is_named = !config.hostname().empty() || !config.domainname().empty();
  if (is_named && absl::StartsWith(host.network_mode(), "container:")) {
    return Refused("conflicting options: hostname and the network mode");
  }
  if (is_named && host.uts_mode() == "host") {
    return Refused("conflicting options: hostname and the UTS mode");
  }
  if (config.hostname().size() > 64) {
    return Refused(absl::StrCat("invalid hostname '", config.hostname(),
                                "': the kernel takes 64 characters at most"));
  }
  if (host.network_mode() == "host") return absl::OkStatus();
  for (const std::string& entry : host.extra_hosts()) {
    if (absl::EndsWith(entry, "host-gateway")) {
      return absl::UnimplementedError(
          "--add-host with host-gateway needs a network with a gateway; this release has none");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHealth(const v1::Healthcheck& health) {
  const struct {
    const char* name;
    bool is_set;
    const google::protobuf::Duration& value;
  } kTimes[] = {
      {"Interval", health.has_interval(), health.interval()},
      {"Timeout", health.has_timeout(), health.timeout()},
      {"StartPeriod", health.has_start_period(), health.start_period()},
      {"StartInterval", health.has_start_interval(), health.start_interval()},
  };
  for (const auto& time : kTimes) {
    const bool is_zero = time.value.seconds() == 0 && time.value.nanos() == 0;
    const bool is_short =
        time.value.seconds() < 0 || (time.value.seconds() == 0 && time.value.nanos() < 1'000'000);
    if (time.is_set && !is_zero && is_short) {
      return Refused(absl::StrCat(time.name, " in Healthcheck cannot be less than 1ms"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::set<int>> ParseNumberList(absl::string_view text) {
  std::set<int> numbers;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(absl::StripAsciiWhitespace(part), absl::MaxSplits('-', 1));
    int first = 0;
    int last = 0;
    const bool is_range = absl::StrContains(part, '-');
    if (!absl::SimpleAtoi(ends.first, &first) ||
        !absl::SimpleAtoi(is_range ? ends.second : ends.first, &last) || first < 0 ||
        first > last || last >= kMostNumbers) {
      return Refused(absl::StrCat("\"", text, "\" is no list of numbers such as 0-2,7"));
    }
    for (int number = first; number <= last; ++number) numbers.insert(number);
  }
  return numbers;
}

absl::Status CheckAgainstHost(const v1::ContainerConfig& config, const v1::HostConfig& host) {
  BERTH_RETURN_IF_ERROR(CheckCpus(host.resources()));
  const v1::Resources& r = host.resources();
  if (r.has_memory_swappiness() && (r.memory_swappiness() < -1 || r.memory_swappiness() > 100)) {
    return Refused(absl::StrCat("--memory-swappiness: Invalid value: ", r.memory_swappiness(),
                                ", valid memory swappiness range is 0-100"));
  }
  BERTH_RETURN_IF_ERROR(CheckSysctls(host));
  BERTH_RETURN_IF_ERROR(CheckNames(config, host));
  return CheckHealth(config.healthcheck());
}

}  // namespace berth::engine
