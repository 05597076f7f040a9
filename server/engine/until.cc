#include "server/engine/until.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace berth::engine {

absl::StatusOr<absl::Time> ParseUntil(absl::string_view text, absl::Time now) {
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago)) return now - ago;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) return absl::UnixEpoch() + absl::Seconds(seconds);
  absl::Time time;
  std::string error;
  for (const char* format :
       {absl::RFC3339_full, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::LocalTimeZone(), &time, &error)) return time;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("until \"", text, "\": expected a duration (24h), a date, or Unix seconds"));
}

}  // namespace berth::engine
