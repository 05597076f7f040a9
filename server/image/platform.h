// Platforms of images: what "linux/arm64/v8" means, and which manifest of an index suits one.
//
// Invariant: a Platform that came out of ParsePlatform or Normalized has GOOS and GOARCH words
// ("amd64", never "x86_64") and no variant that its architecture implies. Immutable values,
// thread-safe functions.
#ifndef BERTH_SERVER_IMAGE_PLATFORM_H_
#define BERTH_SERVER_IMAGE_PLATFORM_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::image {

struct Platform {
  std::string os{};
  std::string architecture{};
  std::string variant{};
  std::string os_version{};

  friend bool operator==(const Platform& a, const Platform& b) {
    return a.os == b.os && a.architecture == b.architecture && a.variant == b.variant &&
           a.os_version == b.os_version;
  }
};

// This machine's.
Platform HostPlatform();
// "os/architecture[/variant]", or one of both alone: the rest is this machine's.
// Errors: INVALID_ARGUMENT, with what is expected.
absl::StatusOr<Platform> ParsePlatform(absl::string_view text);
// The usual words for each part: "x86_64" is amd64, "aarch64" is arm64, arm without a variant v7.
Platform Normalized(Platform platform);
// "linux/arm64/v8"; "unknown" for an empty one.
std::string FormatPlatform(const Platform& platform);

// How well an image's platform suits the wanted one: 0 not at all, more is better. Machines run
// images of older variants of their architecture, and amd64 runs 386; nothing else is converted. An
// image that names no platform suits everybody, least of all.
int MatchScore(const Platform& image, const Platform& wanted);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_PLATFORM_H_
