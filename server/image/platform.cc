#include "server/image/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::image {
namespace {

constexpr std::pair<absl::string_view, absl::string_view> kArchitectures[] = {
    {"x86_64", "amd64"},       {"x86-64", "amd64"}, {"aarch64", "arm64"}, {"i386", "386"},
    {"i486", "386"},           {"i586", "386"},     {"i686", "386"},      {"armhf", "arm"},
    {"armel", "arm"},          {"armv7l", "arm"},   {"armv6l", "arm"},    {"loong64", "loong64"},
    {"loongarch64", "loong64"}};
constexpr std::array<absl::string_view, 16> kKnownArchitectures = {
    "386",    "amd64", "arm",     "arm64",   "loong64", "mips",    "mips64", "mips64le",
    "mipsle", "ppc64", "ppc64le", "riscv64", "s390x",   "sparc64", "wasm",   "ppc"};

bool IsKnownArchitecture(absl::string_view architecture) {
  return std::find(kKnownArchitectures.begin(), kKnownArchitectures.end(), architecture) !=
         kKnownArchitectures.end();
}

bool IsKnownOs(absl::string_view os) {
  return os == "linux" || os == "windows" || os == "darwin" || os == "freebsd" || os == "wasi";
}

// "v7" -> 7; what is no such number is -1.
int VariantNumber(absl::string_view variant) {
  int number = -1;
  if (variant.size() < 2 || variant[0] != 'v') return -1;
  return absl::SimpleAtoi(variant.substr(1), &number) ? number : -1;
}

// What a machine without a stated variant is.
int ImpliedVariant(absl::string_view architecture) {
  if (architecture == "arm64") return 8;
  if (architecture == "arm") return 7;
  return 1;  // amd64
}

int VariantOf(const Platform& platform) {
  const int number = VariantNumber(platform.variant);
  return number < 0 ? ImpliedVariant(platform.architecture) : number;
}

}  // namespace

Platform Normalized(Platform platform) {
  platform.os = absl::AsciiStrToLower(platform.os);
  platform.architecture = absl::AsciiStrToLower(platform.architecture);
  platform.variant = absl::AsciiStrToLower(platform.variant);
  if (platform.os == "macos") platform.os = "darwin";
  if (platform.architecture == "armhf" || platform.architecture == "armv7l")
    platform.variant = "v7";
  if (platform.architecture == "armel" || platform.architecture == "armv6l")
    platform.variant = "v6";
  for (const auto& [name, usual] : kArchitectures) {
    if (platform.architecture == name) {
      platform.architecture = std::string(usual);
      break;
    }
  }
  if (VariantNumber(absl::StrCat("v", platform.variant)) >= 0) platform.variant.insert(0, "v");
  if (platform.architecture == "arm" && platform.variant.empty()) platform.variant = "v7";
  if (platform.architecture == "arm64" && platform.variant == "v8") platform.variant.clear();
  if (platform.architecture == "amd64" && platform.variant == "v1") platform.variant.clear();
  return platform;
}

Platform HostPlatform() {
  utsname host = {};
  ::uname(&host);
  return Normalized({.os = "linux", .architecture = host.machine});
}

absl::StatusOr<Platform> ParsePlatform(absl::string_view text) {
  const auto bad = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is no platform: expected OS/ARCHITECTURE[/VARIANT], for example "
                     "linux/amd64 or linux/arm/v7"));
  };
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  for (absl::string_view part : parts) {
    const bool is_word = std::all_of(part.begin(), part.end(), [](char c) {
      return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
    });
    if (part.empty() || !is_word) return bad();
  }
  if (parts.size() > 3) return bad();
  Platform platform;
  if (parts.size() == 1) {
    const Platform host = HostPlatform();
    platform = Normalized({.os = host.os, .architecture = std::string(parts[0])});
    if (IsKnownArchitecture(platform.architecture)) return platform;
    platform = Normalized(
        {.os = std::string(parts[0]), .architecture = host.architecture, .variant = host.variant});
    if (IsKnownOs(platform.os)) return platform;
    return bad();
  }
  platform.os = std::string(parts[0]);
  platform.architecture = std::string(parts[1]);
  if (parts.size() == 3) platform.variant = std::string(parts[2]);
  return Normalized(std::move(platform));
}

std::string FormatPlatform(const Platform& platform) {
  if (platform.os.empty() && platform.architecture.empty()) return "unknown";
  return absl::StrCat(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/",
                      platform.variant);
}

int MatchScore(const Platform& image, const Platform& wanted) {
  if (image.os.empty() && image.architecture.empty()) return 1;
  const Platform has = Normalized(image);
  const Platform wants = Normalized(wanted);
  if (has.os != wants.os) return 0;
  if (has.architecture == wants.architecture) {
    if (has.variant == wants.variant) return 1000;
    const int number = VariantOf(has);
    // Images of an older variant run; the nearest is the best.
    return number <= VariantOf(wants) ? 500 + number : 0;
  }
  if (wants.architecture == "amd64" && has.architecture == "386") return 10;
  if (wants.architecture == "arm64" && has.architecture == "arm") {
    const int number = VariantOf(has);
    return number <= 8 ? 10 + number : 0;
  }
  return 0;
}

}  // namespace berth::image
