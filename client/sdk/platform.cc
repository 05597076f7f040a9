#include "client/sdk/platform.h"

#include <sys/utsname.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

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
