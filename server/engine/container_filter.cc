#include "server/engine/container_filter.h"

#include <algorithm>
#include <iterator>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/engine/label_filter.h"
#include "server/engine/status_text.h"

namespace berth::engine {
namespace {

using Summary = v1::ContainerSummary;

constexpr absl::string_view kOfState[] = {"exited", "health", "status"};
constexpr absl::string_view kOfPlace[] = {"before", "since"};
constexpr absl::string_view kOfSummary[] = {"ancestor", "expose", "id",      "is-task", "isolation",
                                            "label",    "name",   "network", "publish", "volume"};

template <size_t kCount>
bool Contains(const absl::string_view (&list)[kCount], absl::string_view key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

std::string HealthOf(const v1::State& state) {
  return state.health().empty() ? "none" : state.health();
}

// Docker takes a name filter as a regular expression, against the name with and without its slash.
bool MatchesName(const Summary& container, const std::string& pattern) {
  for (const std::string& name : container.names()) {
    if (absl::StrContains(name, pattern)) return true;
    // std::regex reports a malformed pattern by an exception only; plain words need none.
    if (pattern.find_first_of("^$.*+?[](){}|\\") == std::string::npos) continue;
    try {
      const std::regex expression(pattern);
      if (std::regex_search(name, expression) || std::regex_search("/" + name, expression)) {
        return true;
      }
    } catch (const std::regex_error&) {
      continue;
    }
  }
  return false;
}

bool MatchesAncestor(const Summary& container, absl::string_view wanted) {
  const absl::string_view image = container.image();
  absl::string_view id = container.image_id();
  if (image == wanted || id == wanted) return true;
  const size_t colon = id.find(':');
  if (colon != absl::string_view::npos) id.remove_prefix(colon + 1);
  if (wanted.size() >= 4 && absl::StartsWith(id, wanted)) return true;
  return image == absl::StrCat(wanted, ":latest") || absl::StrCat(image, ":latest") == wanted ||
         image == absl::StrCat("docker.io/library/", wanted, ":latest") ||
         image == absl::StrCat("docker.io/library/", wanted);
}

bool MatchesVolume(const Summary& container, const std::string& wanted) {
  return std::any_of(container.mounts().begin(), container.mounts().end(), [&](const auto& point) {
    return point.name() == wanted || point.source() == wanted || point.destination() == wanted;
  });
}

absl::Status CheckValue(const std::string& key, const std::string& value) {
  static const std::set<std::string> kStatuses = {"created",  "running", "paused", "restarting",
                                                  "removing", "exited",  "dead"};
  static const std::set<std::string> kHealths = {"none", "starting", "healthy", "unhealthy"};
  int number = 0;
  if ((key == "status" && !kStatuses.contains(value)) ||
      (key == "health" && !kHealths.contains(value)) ||
      (key == "exited" && !absl::SimpleAtoi(value, &number))) {
    return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "=", value, "'"));
  }
  return absl::OkStatus();
}

bool StateMatches(const v1::State& state, const std::string& key, const std::string& value) {
  if (key == "status") return StatusWord(state.status()) == value;
  if (key == "health") return HealthOf(state) == value;
  return state.status() == v1::STATUS_EXITED && absl::StrCat(state.exit_code()) == value;
}

bool SummaryMatches(const Summary& container, const std::string& key, const std::string& value) {
  if (key == "id") return absl::StartsWith(container.id(), value);
  if (key == "name") return MatchesName(container, value);
  if (key == "ancestor") return MatchesAncestor(container, value);
  if (key == "volume") return MatchesVolume(container, value);
  if (key == "network") {
    const std::string& mode = container.network_mode();
    return mode == value || (value == "none" && (mode.empty() || mode == "default"));
  }
  // Ports are published on networks; the ones that are listed here are exposed.
  if (key == "publish") return false;
  if (key == "expose") {
    return std::any_of(container.ports().begin(), container.ports().end(),
                       [&](const std::string& port) {
                         return port == value || absl::StartsWith(port, absl::StrCat(value, "/"));
                       });
  }
  return key != "is-task" || value == "false";
}

bool Runs(v1::Status status) {
  return status == v1::STATUS_RUNNING || status == v1::STATUS_PAUSED ||
         status == v1::STATUS_RESTARTING;
}

}  // namespace

absl::StatusOr<ContainerFilter> ContainerFilter::Of(const v1::ListContainersRequest& request) {
  ContainerFilter result;
  result.all_ = request.all() || request.last() > 0;
  for (const auto& [key, filter] : request.filters()) {
    for (const std::string& value : filter.values()) {
      BERTH_RETURN_IF_ERROR(CheckValue(key, value));
    }
    if (Contains(kOfState, key)) {
      result.on_state_.emplace_back(key, &filter);
      // Asking for a state that does not run asks for all.
      result.all_ = result.all_ || key != "health";
    } else if (Contains(kOfSummary, key)) {
      result.on_summary_.emplace_back(key, &filter);
    } else if (!Contains(kOfPlace, key)) {
      return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
    }
  }
  return result;
}

bool ContainerFilter::MatchesState(const v1::State& state) const {
  if (!all_ && !Runs(state.status())) return false;
  return std::all_of(on_state_.begin(), on_state_.end(), [&](const Condition& condition) {
    const auto& values = condition.second->values();
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
      return StateMatches(state, condition.first, value);
    });
  });
}

bool ContainerFilter::Matches(const v1::ContainerSummary& container) const {
  return std::all_of(on_summary_.begin(), on_summary_.end(), [&](const Condition& condition) {
    const auto& values = condition.second->values();
    if (condition.first == "label") return MatchesLabels(container.labels(), values);
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
      return SummaryMatches(container, condition.first, value);
    });
  });
}

}  // namespace berth::engine
