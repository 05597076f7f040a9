// Names and ids of containers and volumes: what is allowed, and random ones.
// Thread-safe functions.
#ifndef BERTH_SERVER_ENGINE_NAMES_H_
#define BERTH_SERVER_ENGINE_NAMES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::engine {

// 64 random hexadecimal digits.
std::string RandomId();
// "adjective_noun"; from the second attempt on with a number behind it.
std::string RandomName(int attempt);
// The first 12 digits, as lists show them.
std::string ShortId(absl::string_view id);
// Errors: INVALID_ARGUMENT, with what is allowed.
absl::Status ValidateContainerName(absl::string_view name);
absl::Status ValidateVolumeName(absl::string_view name);
// At least one hexadecimal digit and nothing else, at most 64.
bool LooksLikeId(absl::string_view text);
// What RandomId makes.
bool IsWholeId(absl::string_view text);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_NAMES_H_
