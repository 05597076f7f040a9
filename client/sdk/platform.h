// What an image was built for, in Go's names. Immutable value, thread-safe functions.
#ifndef BERTH_CLIENT_SDK_PLATFORM_H_
#define BERTH_CLIENT_SDK_PLATFORM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
};

// This machine's.
Platform HostPlatform();

// "linux/arm64/v8". Errors: INVALID_ARGUMENT, with what is expected.
absl::StatusOr<Platform> ParsePlatform(absl::string_view text);
absl::StatusOr<std::vector<Platform>> ParsePlatforms(const std::vector<std::string>& texts);

// "linux/arm64/v8"; empty when the platform is unknown.
std::string FormatPlatform(const Platform& platform);

// Whether an image for `image` runs on `host`; higher is better, 0 is not at all. An image that
// does not say what it is for is the last resort.
int MatchPlatform(const Platform& image, const Platform& host);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_PLATFORM_H_
