#include "server/engine/log_options.h"

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"

namespace berth::engine {

absl::StatusOr<int64_t> ParseSize(absl::string_view text) {
  std::string low = absl::AsciiStrToLower(text);
  absl::string_view rest = low;
  absl::ConsumeSuffix(&rest, "ib");
  absl::ConsumeSuffix(&rest, "b");
  int64_t unit = 1;
  if (absl::ConsumeSuffix(&rest, "k")) unit = 1 << 10;
  if (absl::ConsumeSuffix(&rest, "m")) unit = 1 << 20;
  if (absl::ConsumeSuffix(&rest, "g")) unit = 1 << 30;
  double number = 0;
  if (rest.empty() || !absl::SimpleAtod(rest, &number) || number < 0 || number > 1e12) {
    return absl::InvalidArgumentError(absl::StrCat("invalid size: '", text, "'"));
  }
  return static_cast<int64_t>(number * static_cast<double>(unit));
}

absl::Status CheckLogOptions(const v1::LogConfig& log) {
  for (const auto& [key, value] : log.options()) {
    if (key == "max-size" || key == "max-buffer-size") {
      BERTH_RETURN_IF_ERROR(ParseSize(value).status()) << "--log-opt " << key;
    }
    int files = 0;
    if (key == "max-file" && (!absl::SimpleAtoi(value, &files) || files < 1)) {
      return absl::InvalidArgumentError("max-file cannot be less than 1");
    }
    if (key == "mode" && value != "blocking" && value != "non-blocking") {
      return absl::InvalidArgumentError(
          absl::StrCat("logger: logging mode not supported: ", value));
    }
  }
  return absl::OkStatus();
}

std::string LogTargetOf(const v1::Container& container) {
  const v1::LogConfig& log = container.host_config().log();
  if (log.driver() != "json-file") return "berth-attach://";
  std::string target = absl::StrCat("berth-log://", container.log_path(), "?driver=json-file");
  for (const char* key : {"max-size", "max-buffer-size"}) {
    const auto found = log.options().find(key);
    if (found == log.options().end()) continue;
    const absl::StatusOr<int64_t> bytes = ParseSize(found->second);
    if (bytes.ok()) absl::StrAppend(&target, "&", key, "=", *bytes);
  }
  for (const char* key : {"max-file", "mode"}) {
    const auto found = log.options().find(key);
    if (found != log.options().end()) absl::StrAppend(&target, "&", key, "=", found->second);
  }
  return target;
}

}  // namespace berth::engine
