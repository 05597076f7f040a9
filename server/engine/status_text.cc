#include "server/engine/status_text.h"

#include "absl/strings/str_cat.h"
#include "server/metadata/record.h"

namespace berth::engine {

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

}  // namespace berth::engine
