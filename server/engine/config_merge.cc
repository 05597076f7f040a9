#include "server/engine/config_merge.h"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

absl::string_view KeyOf(absl::string_view entry) { return entry.substr(0, entry.find('=')); }

absl::Status MergeEnvironment(const image::ImageConfig& image, v1::ContainerConfig& config) {
  std::vector<std::string> merged = image.environment;
  for (const std::string& entry : config.environment()) {
    const absl::string_view key = KeyOf(entry);
    if (key.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("invalid environment variable: ", entry));
    }
    const auto found = std::find_if(merged.begin(), merged.end(),
                                    [&](const std::string& other) { return KeyOf(other) == key; });
    if (!absl::StrContains(entry, '=')) {
      if (found != merged.end()) merged.erase(found);
    } else if (found != merged.end()) {
      *found = entry;
    } else {
      merged.push_back(entry);
    }
  }
  config.mutable_environment()->Assign(merged.begin(), merged.end());
  return absl::OkStatus();
}

void SetDuration(int64_t nanoseconds, google::protobuf::Duration& duration) {
  duration.set_seconds(nanoseconds / 1'000'000'000);
  duration.set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
}

absl::Status MergeHealth(const image::ImageConfig& image, v1::ContainerConfig& config) {
  v1::Healthcheck& check = *config.mutable_healthcheck();
  if (image.health_check.has_value() && (check.test().empty() || check.test(0) != "NONE")) {
    const image::HealthCheck& own = *image.health_check;
    if (check.test().empty()) check.mutable_test()->Assign(own.test.begin(), own.test.end());
    if (!check.has_interval() && own.interval_ns > 0) {
      SetDuration(own.interval_ns, *check.mutable_interval());
    }
    if (!check.has_timeout() && own.timeout_ns > 0) {
      SetDuration(own.timeout_ns, *check.mutable_timeout());
    }
    if (!check.has_start_period() && own.start_period_ns > 0) {
      SetDuration(own.start_period_ns, *check.mutable_start_period());
    }
    if (!check.has_start_interval() && own.start_interval_ns > 0) {
      SetDuration(own.start_interval_ns, *check.mutable_start_interval());
    }
    if (check.retries() == 0) check.set_retries(static_cast<int32_t>(own.retries));
  }
  if (check.test().empty()) {
    config.clear_healthcheck();
    return absl::OkStatus();
  }
  for (const auto* duration : {&check.interval(), &check.timeout(), &check.start_interval()}) {
    const int64_t nanoseconds = duration->seconds() * 1'000'000'000 + duration->nanos();
    if (nanoseconds < 0 || (nanoseconds > 0 && nanoseconds < 1'000'000)) {
      return absl::InvalidArgumentError(
          "Interval and Timeout in Healthcheck cannot be less than 1ms");
    }
  }
  if (check.retries() < 0) {
    return absl::InvalidArgumentError("Retries in Healthcheck cannot be negative");
  }
  return absl::OkStatus();
}

void MergeCommand(const image::ImageConfig& image, v1::ContainerConfig& config) {
  if (config.entrypoint().empty() && !std::as_const(config).clear_entrypoint()) {
    if (config.command().empty()) {
      config.mutable_command()->Assign(image.command.begin(), image.command.end());
    }
    config.mutable_entrypoint()->Assign(image.entrypoint.begin(), image.entrypoint.end());
  }
}

}  // namespace

absl::StatusOr<int> ParseSignal(absl::string_view text) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number)) {
    if (number > 0 && number < NSIG) return number;
    return absl::InvalidArgumentError(absl::StrCat("Invalid signal: ", text));
  }
  std::string name = absl::AsciiStrToUpper(text);
  absl::string_view bare = name;
  absl::ConsumePrefix(&bare, "SIG");
  for (int i = 1; i < 32; ++i) {
    const char* known = ::sigabbrev_np(i);
    if (known != nullptr && bare == known) return i;
  }
  int offset = 0;
  if (absl::ConsumePrefix(&bare, "RTMIN")) {
    if (bare.empty()) return SIGRTMIN;
    if (bare[0] == '+' && absl::SimpleAtoi(bare.substr(1), &offset) && offset >= 0 &&
        SIGRTMIN + offset <= SIGRTMAX) {
      return SIGRTMIN + offset;
    }
  } else if (absl::ConsumePrefix(&bare, "RTMAX")) {
    if (bare.empty()) return SIGRTMAX;
    if (bare[0] == '-' && absl::SimpleAtoi(bare.substr(1), &offset) && offset >= 0 &&
        SIGRTMAX - offset >= SIGRTMIN) {
      return SIGRTMAX - offset;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("Invalid signal: ", text));
}

std::vector<std::string> ArgumentsOf(const v1::ContainerConfig& merged) {
  std::vector<std::string> arguments(merged.entrypoint().begin(), merged.entrypoint().end());
  arguments.insert(arguments.end(), merged.command().begin(), merged.command().end());
  return arguments;
}

absl::StatusOr<v1::ContainerConfig> MergeConfig(v1::ContainerConfig asked,
                                                const image::ImageConfig& image) {
  v1::ContainerConfig config = std::move(asked);
  MergeCommand(image, config);
  if (ArgumentsOf(config).empty()) {
    return absl::InvalidArgumentError("no command specified");
  }
  BERTH_RETURN_IF_ERROR(MergeEnvironment(image, config));
  for (const auto& [key, value] : image.labels) config.mutable_labels()->insert({key, value});
  if (config.labels().count("") > 0) {
    return absl::InvalidArgumentError("a label needs a key before the \"=\"");
  }
  if (config.working_directory().empty()) config.set_working_directory(image.working_directory);
  if (!config.working_directory().empty() && config.working_directory()[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("the working directory '", config.working_directory(),
                     "' is invalid, it needs to be an absolute path"));
  }
  if (config.user().empty()) config.set_user(image.user);
  if (config.stop_signal().empty()) config.set_stop_signal(image.stop_signal);
  if (!config.stop_signal().empty()) {
    BERTH_RETURN_IF_ERROR(ParseSignal(config.stop_signal()).status());
  }
  if (!config.has_stop_timeout_seconds() && image.stop_timeout_s.has_value()) {
    config.set_stop_timeout_seconds(static_cast<int32_t>(*image.stop_timeout_s));
  }
  if (config.hostname().size() > 63) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid hostname: ", config.hostname(), " (63 characters at most)"));
  }
  std::set<std::string> volumes(config.anonymous_volumes().begin(),
                                config.anonymous_volumes().end());
  volumes.insert(image.volumes.begin(), image.volumes.end());
  config.mutable_anonymous_volumes()->Assign(volumes.begin(), volumes.end());
  std::set<std::string> ports(config.exposed_ports().begin(), config.exposed_ports().end());
  ports.insert(image.exposed_ports.begin(), image.exposed_ports.end());
  config.mutable_exposed_ports()->Assign(ports.begin(), ports.end());
  BERTH_RETURN_IF_ERROR(MergeHealth(image, config));
  return config;
}

}  // namespace berth::engine
