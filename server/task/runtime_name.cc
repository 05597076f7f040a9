#include "server/task/runtime_name.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth {
namespace {

constexpr char kDefaultRuntime[] = "io.containerd.runc.v2";
constexpr std::array<const char*, 4> kOwnNames = {
    "io.containerd.runc.v2",
    "io.containerd.runc.v1",
    "io.containerd.runtime.v1.linux",
    "io.containerd.berth.v1",
};
constexpr std::array<const char*, 2> kOwnBinaries = {"berth-shim", "containerd-shim-berth-v1"};

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::StatusOr<ResolvedRuntime> FromPath(absl::string_view path) {
  if (std::any_of(kOwnBinaries.begin(), kOwnBinaries.end(),
                  [&](const char* own) { return BaseName(path) == own; })) {
    return ResolvedRuntime{std::string(path), ""};
  }
  if (::access(std::string(path).c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("runtime ", path, " is no executable file"));
  }
  return ResolvedRuntime{std::string(path), std::string(path)};
}

// io.containerd.NAME.vN -> containerd-shim-NAME-vN: the last two of at least three components.
absl::StatusOr<std::string> BinaryName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  });
  if (!plain || parts.size() < 3 || parts.back().empty() || parts[parts.size() - 2].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "runtime name \"", name, "\" is neither io.containerd.NAME.vN nor an absolute path"));
  }
  return absl::StrCat("containerd-shim-", parts[parts.size() - 2], "-", parts.back());
}

}  // namespace

absl::StatusOr<ResolvedRuntime> ResolveRuntime(absl::string_view name,
                                               const RuntimeAliases& aliases,
                                               absl::string_view search_path) {
  std::string wanted(name.empty() ? absl::string_view(kDefaultRuntime) : name);
  // One step only: the target of an alias is not looked up again, so aliases cannot form a circle.
  const auto alias = aliases.find(wanted);
  const std::string meant = alias == aliases.end() ? wanted : alias->second;
  if (absl::StartsWith(meant, "/")) {
    auto resolved = FromPath(meant);
    if (resolved.ok()) resolved->name = wanted;
    return resolved;
  }
  if (std::any_of(kOwnNames.begin(), kOwnNames.end(),
                  [&](const char* own) { return meant == own; })) {
    return ResolvedRuntime{wanted, ""};
  }
  const auto binary = BinaryName(meant);
  if (!binary.ok()) return binary.status();
  for (absl::string_view directory : absl::StrSplit(search_path, ':', absl::SkipEmpty())) {
    const std::string candidate = absl::StrCat(directory, "/", *binary);
    if (absl::StartsWith(candidate, "/") && ::access(candidate.c_str(), X_OK) == 0) {
      return ResolvedRuntime{wanted, candidate};
    }
  }
  return absl::NotFoundError(
      absl::StrCat("runtime \"", meant, "\" needs ", *binary,
                   ", which is not in PATH; install it or name its path in [runtime_aliases]"));
}

}  // namespace berth
