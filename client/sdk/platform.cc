#include "client/sdk/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/status/status_macros.h"

namespace berth::client {

Platform HostPlatform() {
  utsname host = {};
  ::uname(&host);
  const absl::string_view machine(host.machine);
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"x86_64", "amd64"}, {"aarch64", "arm64"},   {"armv7l", "arm"},      {"i686", "386"},
      {"s390x", "s390x"},  {"ppc64le", "ppc64le"}, {"riscv64", "riscv64"},
  };
  for (const auto& [kernel, go] : kNames) {
    if (machine == kernel) return {"linux", go, ""};
  }
  return {"linux", std::string(machine), ""};
}

absl::StatusOr<Platform> ParsePlatform(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  const bool is_whole = std::all_of(parts.begin(), parts.end(),
                                    [](const std::string& part) { return !part.empty(); });
  if (!is_whole || parts.size() < 2 || parts.size() > 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is no platform: expected OS/ARCHITECTURE[/VARIANT], for example "
                     "linux/amd64 or linux/arm/v7"));
  }
  return Platform{parts[0], parts[1], parts.size() == 3 ? parts[2] : ""};
}

absl::StatusOr<std::vector<Platform>> ParsePlatforms(const std::vector<std::string>& texts) {
  std::vector<Platform> platforms;
  for (const std::string& text : texts) {
    BERTH_ASSIGN_OR_RETURN(Platform platform, ParsePlatform(text));
    platforms.push_back(std::move(platform));
  }
  return platforms;
}

std::string FormatPlatform(const Platform& platform) {
  if (platform.os.empty() && platform.architecture.empty()) return "";
  return absl::StrCat(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/",
                      platform.variant);
}

int MatchPlatform(const Platform& image, const Platform& host) {
  if (image.os.empty() && image.architecture.empty()) return 1;
  if (image.os == host.os && image.architecture == host.architecture) return 3;
  if (image.os == host.os && host.architecture == "amd64" && image.architecture == "386") return 2;
  return 0;
}

}  // namespace berth::client
