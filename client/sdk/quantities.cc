#include "client/sdk/quantities.h"

#include <csignal>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace berth::client {

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view rest = absl::StripSuffix(lower, "b");
  rest = absl::StripSuffix(rest, "i");
  double scale = 1;
  if (!rest.empty()) {
    constexpr absl::string_view kSuffixes = "kmgt";
    const size_t suffix = kSuffixes.find(rest.back());
    if (suffix != absl::string_view::npos) {
      scale = static_cast<double>(int64_t{1} << (10 * (suffix + 1)));
      rest.remove_suffix(1);
    }
  }
  double number = 0;
  if (rest.empty() || !absl::ascii_isdigit(rest[0]) || !absl::SimpleAtod(rest, &number) ||
      number * scale >= 9.2e18) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no size (expected a number and b, k, m, g or t: 64m)"));
  }
  return static_cast<int64_t>(number * scale);
}

absl::StatusOr<int> ParseSignal(absl::string_view text) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number)) {
    if (number >= 1 && number <= SIGRTMAX) return number;
  } else {
    const std::string upper = absl::AsciiStrToUpper(text);
    const absl::string_view name = absl::StripPrefix(upper, "SIG");
    for (number = 1; number < SIGRTMIN; ++number) {
      const char* known = ::sigabbrev_np(number);
      if (known != nullptr && name == known) return number;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no signal (expected a name such as TERM, or a number)"));
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, "B");
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : kUnits) {
    value /= 1024;
    unit = next;
    if (value < 1024) break;
  }
  return absl::StrFormat("%.1f%s", value, unit);
}

std::string FormatAge(absl::Duration age) {
  struct Unit {
    absl::Duration length;
    const char* name;
  };
  const Unit units[] = {{absl::Hours(24 * 365), "year"}, {absl::Hours(24 * 30), "month"},
                        {absl::Hours(24 * 7), "week"},   {absl::Hours(24), "day"},
                        {absl::Hours(1), "hour"},        {absl::Minutes(1), "minute"}};
  // Two of a smaller unit say more than one of a larger one.
  for (const Unit& unit : units) {
    if (age >= 2 * unit.length) {
      return absl::StrCat(static_cast<int64_t>(absl::FDivDuration(age, unit.length)), " ",
                          unit.name, "s");
    }
  }
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(age));
  return absl::StrCat(seconds, seconds == 1 ? " second" : " seconds");
}

}  // namespace berth::client
