// The moments that filters name. Pure function.
#ifndef BERTH_SERVER_ENGINE_UNTIL_H_
#define BERTH_SERVER_ENGINE_UNTIL_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::engine {

// "10m", "24h", a time as RFC 3339 or in Unix seconds: things made before it. Errors:
// INVALID_ARGUMENT.
absl::StatusOr<absl::Time> ParseUntil(absl::string_view text, absl::Time now);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_UNTIL_H_
