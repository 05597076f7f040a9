#include "client/options/value_syntax.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"
#include "client/sdk/quantities.h"

namespace berth::client {

namespace engine = ::berth::engine::v1;

namespace {

absl::Status Fault(absl::string_view what) { return absl::InvalidArgumentError(what); }

bool IsAddress(absl::string_view text) {
  const std::string address(text);
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, address.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, address.c_str(), bytes) == 1;
}

struct PortRange {
  int first = 0;
  int last = 0;
  int size() const { return last - first + 1; }
};

absl::StatusOr<PortRange> ParsePortRange(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  PortRange range;
  const bool is_range = absl::StrContains(text, '-');
  if (!absl::SimpleAtoi(parts.first, &range.first) ||
      !absl::SimpleAtoi(is_range ? parts.second : parts.first, &range.last) || range.first < 1 ||
      range.last > 65535 || range.first > range.last) {
    return Fault(absl::StrCat("\"", text, "\" is no port (1 to 65535, or a range of them)"));
  }
  return range;
}

absl::StatusOr<engine::ThrottleDevice> ParseThrottle(
    absl::string_view text, absl::StatusOr<int64_t> (*parse)(absl::string_view)) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (!absl::StartsWith(parts.first, "/dev/")) return Fault("expected /dev/NAME:RATE");
  BERTH_ASSIGN_OR_RETURN(const int64_t rate, parse(parts.second));
  engine::ThrottleDevice device;
  device.set_path(std::string(parts.first));
  device.set_rate(static_cast<uint64_t>(rate));
  return device;
}

}  // namespace

absl::StatusOr<int64_t> ParseByteSize(absl::string_view text) { return ParseBytes(text); }

absl::StatusOr<int64_t> ParseByteSizeOrUnlimited(absl::string_view text) {
  if (text == "-1") return -1;
  return ParseBytes(text);
}

absl::StatusOr<int64_t> ParseNanoCpus(absl::string_view text) {
  double cpus = 0;
  if (!absl::SimpleAtod(text, &cpus) || !(cpus >= 0) || cpus > 1e6) {
    return Fault("expected a number of processors such as 1.5");
  }
  return static_cast<int64_t>(std::llround(cpus * 1e9));
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration duration;
  if (absl::ParseDuration(text, &duration) && duration >= absl::ZeroDuration() &&
      duration < absl::InfiniteDuration()) {
    return duration;
  }
  return Fault("expected a length of time such as 30s, 1m30s or 500ms");
}

absl::StatusOr<absl::Time> ParseMoment(absl::string_view text, absl::Time now) {
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds) && std::isfinite(seconds)) {
    return absl::UnixEpoch() + absl::Seconds(seconds);
  }
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago)) return now - ago;
  absl::Time moment;
  std::string error;
  for (const char* format :
       {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d%ET%H:%M:%E*S", "%Y-%m-%d%ET%H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::LocalTimeZone(), &moment, &error)) return moment;
  }
  return Fault(absl::StrCat("\"", text,
                            "\" is no moment: expected one (2026-01-02T15:04:05Z, 2026-01-02, "
                            "seconds since 1970) or a length of "
                            "time before now (10m)"));
}

absl::StatusOr<engine::Ulimit> ParseUlimit(absl::string_view text) {
  constexpr absl::string_view kNames[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                          "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                          "rss",     "rtprio",   "rttime", "sigpending", "stack"};
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  engine::Ulimit limit;
  limit.set_name(std::string(parts.first));
  if (std::find(std::begin(kNames), std::end(kNames), parts.first) == std::end(kNames)) {
    return Fault(absl::StrCat("\"", parts.first,
                              "\" is no limit (known: ", absl::StrJoin(kNames, ", "), ")"));
  }
  const std::vector<absl::string_view> numbers = absl::StrSplit(parts.second, ':');
  int64_t soft = 0;
  int64_t hard = 0;
  // Of a view that was never set nothing is split off.
  if (numbers.empty() || numbers.size() > 2 || !absl::SimpleAtoi(numbers[0], &soft) ||
      !absl::SimpleAtoi(numbers.back(), &hard) || soft < -1 || hard < -1) {
    return Fault("expected NAME=SOFT[:HARD], numbers or -1 for unlimited");
  }
  if (hard != -1 && (soft == -1 || soft > hard)) {
    return Fault(absl::StrCat("the soft limit ", soft, " is above the hard limit ", hard));
  }
  limit.set_soft(soft);
  limit.set_hard(hard);
  return limit;
}

absl::StatusOr<engine::DeviceMapping> ParseDevice(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  const auto is_permissions = [](absl::string_view word) {
    return !word.empty() && word.size() <= 3 &&
           word.find_first_not_of("rwm") == absl::string_view::npos;
  };
  engine::DeviceMapping device;
  device.set_host_path(std::string(parts[0]));
  if (parts.size() > 3 || !absl::StartsWith(parts[0], "/")) {
    return Fault("expected /dev/NAME[:PATH[:rwm]]");
  }
  if (parts.size() == 2 && is_permissions(parts[1])) {
    device.set_permissions(std::string(parts[1]));
  } else if (parts.size() >= 2) {
    if (!absl::StartsWith(parts[1], "/")) {
      return Fault(
          absl::StrCat("\"", parts[1], "\" is neither an absolute path nor made of r, w, m"));
    }
    device.set_container_path(std::string(parts[1]));
  }
  if (parts.size() == 3) {
    if (!is_permissions(parts[2])) {
      return Fault(absl::StrCat("\"", parts[2], "\" is not made of r, w and m"));
    }
    device.set_permissions(std::string(parts[2]));
  }
  return device;
}

absl::StatusOr<engine::WeightDevice> ParseWeightDevice(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  uint32_t weight = 0;
  if (!absl::StartsWith(parts.first, "/dev/") || !absl::SimpleAtoi(parts.second, &weight) ||
      weight < 10 || weight > 1000) {
    return Fault("expected /dev/NAME:WEIGHT, the weight from 10 to 1000");
  }
  engine::WeightDevice device;
  device.set_path(std::string(parts.first));
  device.set_weight(weight);
  return device;
}

absl::StatusOr<engine::ThrottleDevice> ParseThrottleBytes(absl::string_view text) {
  return ParseThrottle(text, ParseBytes);
}

absl::StatusOr<engine::ThrottleDevice> ParseThrottleOperations(absl::string_view text) {
  return ParseThrottle(text, [](absl::string_view number) -> absl::StatusOr<int64_t> {
    int64_t rate = 0;
    if (absl::SimpleAtoi(number, &rate) && rate >= 0) return rate;
    return Fault("the rate is a number of operations a second");
  });
}

absl::StatusOr<engine::RestartPolicy> ParseRestartPolicy(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  engine::RestartPolicy policy;
  policy.set_name(std::string(parts.first));
  const bool has_count = absl::StrContains(text, ':');
  if (parts.first == "on-failure") {
    int count = 0;
    if (has_count && (!absl::SimpleAtoi(parts.second, &count) || count < 0)) {
      return Fault(absl::StrCat("\"", parts.second, "\" is no number of attempts"));
    }
    policy.set_maximum_retry_count(count);
    return policy;
  }
  if (parts.first != "no" && parts.first != "always" && parts.first != "unless-stopped") {
    return Fault("expected no, on-failure[:N], always or unless-stopped");
  }
  if (has_count) return Fault("only on-failure takes a number of attempts");
  return policy;
}

absl::StatusOr<std::vector<engine::PortBinding>> ParsePort(absl::string_view text) {
  absl::string_view rest = text;
  std::string protocol = "tcp";
  if (const size_t slash = rest.rfind('/'); slash != absl::string_view::npos) {
    protocol = absl::AsciiStrToLower(rest.substr(slash + 1));
    rest = rest.substr(0, slash);
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
      return Fault(absl::StrCat("\"", protocol, "\" is no protocol (tcp, udp, sctp)"));
    }
  }
  std::vector<std::string> parts;
  std::string address;
  if (absl::StartsWith(rest, "[")) {  // [::1]:80:80
    const size_t end = rest.find("]:");
    if (end == absl::string_view::npos) return Fault("the address has no ]");
    address = std::string(rest.substr(1, end - 1));
    parts = absl::StrSplit(rest.substr(end + 2), ':');
  } else {
    parts = absl::StrSplit(rest, ':');
    if (parts.size() == 3) {
      address = parts[0];
      parts.erase(parts.begin());
    }
  }
  if (parts.size() > 2) return Fault("expected [IP:][HOST_PORT:]PORT[/PROTOCOL]");
  if (!address.empty() && !IsAddress(address)) {
    return Fault(absl::StrCat("\"", address, "\" is no IP address"));
  }
  BERTH_ASSIGN_OR_RETURN(const PortRange inside, ParsePortRange(parts.back()));
  PortRange outside;
  const bool has_host_port = parts.size() == 2 && !parts[0].empty();
  if (has_host_port) {
    BERTH_ASSIGN_OR_RETURN(outside, ParsePortRange(parts[0]));
    if (outside.size() != inside.size()) return Fault("the two ranges are of different length");
  }
  std::vector<engine::PortBinding> bindings;
  for (int i = 0; i < inside.size(); ++i) {
    engine::PortBinding binding;
    binding.set_container_port(absl::StrCat(inside.first + i, "/", protocol));
    binding.set_host_ip(address);
    if (has_host_port) binding.set_host_port(absl::StrCat(outside.first + i));
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

absl::StatusOr<std::string> ParseAddress(absl::string_view text) {
  if (IsAddress(text)) return std::string(text);
  return Fault(absl::StrCat("\"", text, "\" is no IP address"));
}

absl::StatusOr<std::string> ParseExtraHost(absl::string_view text) {
  const size_t separator = text.find_first_of("=:");
  if (separator == absl::string_view::npos || separator == 0) return Fault("expected NAME:ADDRESS");
  absl::string_view address = text.substr(separator + 1);
  if (absl::StartsWith(address, "[") && absl::EndsWith(address, "]")) {
    address = address.substr(1, address.size() - 2);
  }
  if (address != "host-gateway" && !IsAddress(address)) {
    return Fault(absl::StrCat("\"", address, "\" is no IP address"));
  }
  return absl::StrCat(text.substr(0, separator), ":", address);
}

absl::StatusOr<std::pair<std::string, std::string>> ParseKeyValue(absl::string_view text) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (pair.first.empty()) return Fault("expected KEY=VALUE");
  return pair;
}

}  // namespace berth::client
