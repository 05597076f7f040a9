#include "client/format/human.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::client {
namespace {

template <size_t N>
std::string Scale(double value, double base, const std::array<const char*, N>& units, int digits) {
  size_t unit = 0;
  while (value >= base && unit + 1 < N) {
    value /= base;
    ++unit;
  }
  std::string text = absl::StrFormat("%.*g", digits, value);
  // 999.9 in three digits is one of the next unit, not 1e+03.
  if (text.find('e') != std::string::npos && unit + 1 < N && value < base) {
    text = absl::StrFormat("%.*g", digits, value / base);
    ++unit;
  } else if (text.find('e') != std::string::npos) {
    text = absl::StrFormat("%.0f", value);
  }
  return absl::StrCat(text, units[unit]);
}

std::string Count(int64_t number, const char* unit) { return absl::StrCat(number, " ", unit, "s"); }

}  // namespace

std::string DecimalSize(double bytes, int digits) {
  constexpr std::array<const char*, 9> kUnits = {"B",  "kB", "MB", "GB", "TB",
                                                 "PB", "EB", "ZB", "YB"};
  return Scale(bytes, 1000, kUnits, digits);
}

std::string BinarySize(double bytes) {
  constexpr std::array<const char*, 9> kUnits = {"B",   "KiB", "MiB", "GiB", "TiB",
                                                 "PiB", "EiB", "ZiB", "YiB"};
  return Scale(bytes, 1024, kUnits, 4);
}

std::string HumanDuration(absl::Duration duration) {
  constexpr int64_t kDay = 24;
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return Count(seconds, "second");
  const int64_t minutes = absl::ToInt64Minutes(duration);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return Count(minutes, "minute");
  const auto hours = static_cast<int64_t>(absl::ToDoubleHours(duration) + 0.5);
  if (hours == 1) return "About an hour";
  if (hours < 2 * kDay) return Count(hours, "hour");
  if (hours < 14 * kDay) return Count(hours / kDay, "day");
  if (hours < 60 * kDay) return Count(hours / kDay / 7, "week");
  if (hours < 730 * kDay) return Count(hours / kDay / 30, "month");
  return Count(hours / kDay / 365, "year");
}

std::string HumanAgo(absl::Time moment, absl::Time now) {
  if (moment <= absl::UnixEpoch()) return "N/A";
  return absl::StrCat(HumanDuration(now - moment), " ago");
}

std::string HumanMoment(absl::Time moment) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S %z %Z", moment, absl::LocalTimeZone());
}

}  // namespace berth::client
