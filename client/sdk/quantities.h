// Sizes, signals and ages, from and to the words users know. Pure functions.
#ifndef BERTH_CLIENT_SDK_QUANTITIES_H_
#define BERTH_CLIENT_SDK_QUANTITIES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::client {

// "64m", "1.5G", "512": powers of 1024. Errors: INVALID_ARGUMENT.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);
// "TERM", "SIGTERM", "15".
absl::StatusOr<int> ParseSignal(absl::string_view text);

// "1.5KiB".
std::string FormatBytes(int64_t bytes);
// "5 minutes": one unit, rounded down.
std::string FormatAge(absl::Duration age);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_QUANTITIES_H_
