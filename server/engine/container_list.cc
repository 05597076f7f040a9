#include "server/engine/container_list.h"

#include <algorithm>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/engine/label_filter.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

using Summary = v1::ContainerSummary;

const std::set<absl::string_view>& KnownFilters() {
  static const auto* const kFilters = new std::set<absl::string_view>{
      "ancestor", "before", "exited",  "expose",  "health", "id",     "is-task", "isolation",
      "label",    "name",   "network", "publish", "since",  "status", "volume"};
  return *kFilters;
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

bool MatchesOne(const Summary& container, const std::string& key, const std::string& value) {
  const v1::State& state = container.state();
  if (key == "id") return absl::StartsWith(container.id(), value);
  if (key == "name") return MatchesName(container, value);
  if (key == "status") return StatusWord(state.status()) == value;
  if (key == "exited") {
    return state.status() == v1::STATUS_EXITED && absl::StrCat(state.exit_code()) == value;
  }
  if (key == "ancestor") return MatchesAncestor(container, value);
  if (key == "volume") return MatchesVolume(container, value);
  if (key == "network") {
    const std::string& mode = container.network_mode();
    return mode == value || (value == "none" && (mode.empty() || mode == "default"));
  }
  if (key == "health") return HealthOf(state) == value;
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

size_t IndexOf(const std::vector<Summary>& list, const std::string& wanted) {
  for (size_t i = 0; i < list.size(); ++i) {
    const bool named =
        std::find(list[i].names().begin(), list[i].names().end(), wanted) != list[i].names().end();
    if (named || absl::StartsWith(list[i].id(), wanted)) return i;
  }
  return list.size();
}

absl::Status ApplyPlace(const std::string& key, const v1::Filter& filter,
                        std::vector<Summary>& list) {
  for (const std::string& value : filter.values()) {
    const size_t at = IndexOf(list, value);
    if (at == list.size()) return absl::NotFoundError(absl::StrCat("No such container: ", value));
    const auto place = list.begin() + static_cast<ptrdiff_t>(at);
    // Newest first: what was made before stands behind.
    if (key == "before") list.erase(list.begin(), place + 1);
    if (key == "since") list.erase(place, list.end());
  }
  return absl::OkStatus();
}

}  // namespace

std::string HumanDuration(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  const int64_t minutes = seconds / 60;
  const int64_t hours = (seconds + 1800) / 3600;
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return absl::StrCat(seconds, " seconds");
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return absl::StrCat(minutes, " minutes");
  if (hours == 1) return "About an hour";
  if (hours < 48) return absl::StrCat(hours, " hours");
  if (hours < 24 * 7 * 2) return absl::StrCat(hours / 24, " days");
  if (hours < 24 * 30 * 2) return absl::StrCat(hours / 24 / 7, " weeks");
  if (hours < 24 * 365 * 2) return absl::StrCat(hours / 24 / 30, " months");
  return absl::StrCat(hours / 24 / 365, " years");
}

absl::string_view StatusWord(v1::Status status) {
  switch (status) {
    case v1::STATUS_RUNNING:
      return "running";
    case v1::STATUS_PAUSED:
      return "paused";
    case v1::STATUS_RESTARTING:
      return "restarting";
    case v1::STATUS_REMOVING:
      return "removing";
    case v1::STATUS_EXITED:
      return "exited";
    case v1::STATUS_DEAD:
      return "dead";
    default:
      return "created";
  }
}

std::string StatusText(const v1::State& state, absl::Time now) {
  const auto since = [&](const google::protobuf::Timestamp& time) {
    return HumanDuration(now - metadata::FromTimestamp(time));
  };
  switch (state.status()) {
    case v1::STATUS_RUNNING: {
      std::string text = absl::StrCat("Up ", since(state.started_at()));
      if (state.health() == "starting") return absl::StrCat(text, " (health: starting)");
      if (!state.health().empty()) absl::StrAppend(&text, " (", state.health(), ")");
      return text;
    }
    case v1::STATUS_PAUSED:
      return absl::StrCat("Up ", since(state.started_at()), " (Paused)");
    case v1::STATUS_RESTARTING:
      return absl::StrCat("Restarting (", state.exit_code(), ") ", since(state.finished_at()),
                          " ago");
    case v1::STATUS_EXITED:
      return absl::StrCat("Exited (", state.exit_code(), ") ", since(state.finished_at()), " ago");
    case v1::STATUS_REMOVING:
      return "Removal In Progress";
    case v1::STATUS_DEAD:
      return "Dead";
    default:
      return "Created";
  }
}

absl::Status SelectContainers(const v1::ListContainersRequest& request, absl::Time now,
                              std::vector<Summary>& list) {
  bool all = request.all() || request.last() > 0;
  for (const auto& [key, filter] : request.filters()) {
    if (!KnownFilters().contains(key)) {
      return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
    }
    for (const std::string& value : filter.values()) {
      BERTH_RETURN_IF_ERROR(CheckValue(key, value));
    }
    if (key == "before" || key == "since") {
      BERTH_RETURN_IF_ERROR(ApplyPlace(key, filter, list));
    }
    // Asking for a state that does not run asks for all.
    if (key == "status" || key == "exited") all = true;
  }
  std::erase_if(list, [&](const Summary& container) {
    const v1::Status status = container.state().status();
    if (!all && status != v1::STATUS_RUNNING && status != v1::STATUS_PAUSED &&
        status != v1::STATUS_RESTARTING) {
      return true;
    }
    return std::any_of(request.filters().begin(), request.filters().end(), [&](const auto& filter) {
      const auto& [key, values] = filter;
      if (key == "before" || key == "since") return false;
      if (key == "label") return !MatchesLabels(container.labels(), values.values());
      return std::none_of(
          values.values().begin(), values.values().end(),
          [&, &key = key](const std::string& value) { return MatchesOne(container, key, value); });
    });
  });
  if (request.last() > 0 && list.size() > static_cast<size_t>(request.last())) {
    list.resize(static_cast<size_t>(request.last()));
  }
  for (Summary& container : list) {
    container.set_status(StatusText(container.state(), now));
    if (container.networks().empty() && !container.network_mode().empty()) {
      const std::string& mode = container.network_mode();
      if (!absl::StartsWith(mode, "container:")) {
        container.add_networks(mode == "default" ? "none" : mode);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::engine
