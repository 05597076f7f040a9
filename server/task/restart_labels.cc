#include "server/task/restart_labels.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth {
namespace {

using Policy = shim::v1::RestartPolicy;

constexpr absl::string_view kPrefix = "containerd.io/restart.";

std::string Find(const Labels& labels, absl::string_view name) {
  const auto found = labels.find(absl::StrCat(kPrefix, name));
  return found == labels.end() ? "" : found->second;
}

// "on-failure:3". False: makes no sense.
bool ParsePolicy(absl::string_view text, Policy& policy) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  uint32_t retries = 0;
  if (!parts.second.empty() && !absl::SimpleAtoi(parts.second, &retries)) return false;
  if (parts.first == "on-failure") {
    policy.set_mode(Policy::ON_FAILURE);
    policy.set_maximum_retries(retries);
    return true;
  }
  if (!parts.second.empty()) return false;
  if (text.empty() || text == "always") {
    policy.set_mode(Policy::ALWAYS);
  } else if (text == "unless-stopped") {
    policy.set_mode(Policy::UNLESS_STOPPED);
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool HasRestartLabels(const Labels& labels) {
  return std::any_of(labels.begin(), labels.end(),
                     [](const auto& label) { return absl::StartsWith(label.first, kPrefix); });
}

std::optional<shim::v1::SetPolicyRequest> PolicyOfLabels(const Labels& labels) {
  if (Find(labels, "status") != "running") return std::nullopt;
  shim::v1::SetPolicyRequest request;
  Policy& policy = *request.mutable_restart();
  if (!ParsePolicy(Find(labels, "policy"), policy)) return std::nullopt;
  uint32_t count = 0;
  if (absl::SimpleAtoi(Find(labels, "count"), &count)) policy.set_earlier_restarts(count);
  policy.set_start_if_stopped(true);
  bool stopped = false;
  if (policy.mode() == Policy::UNLESS_STOPPED &&
      absl::SimpleAtob(Find(labels, "explicitly-stopped"), &stopped)) {
    request.set_explicitly_stopped(stopped);
  }
  // The client's FIFOs served the first generation; without a log the others write to nobody.
  std::string log = Find(labels, "loguri");
  if (const std::string path = Find(labels, "logpath"); log.empty() && !path.empty()) {
    log = absl::StrCat("file://", path);
  }
  policy.mutable_later_stdio()->set_stdout(log);
  policy.mutable_later_stdio()->set_stderr(log);
  return request;
}

}  // namespace berth
