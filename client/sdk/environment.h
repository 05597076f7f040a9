// The environment of a container's process: the image's, then the user's. Pure functions.
#ifndef BERTH_CLIENT_SDK_ENVIRONMENT_H_
#define BERTH_CLIENT_SDK_ENVIRONMENT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

// `base` overridden by `overrides`, each "KEY=value" or "KEY": the latter takes the value from
// `inherited`, and removes the variable where that has none. Errors: INVALID_ARGUMENT for an entry
// without a name.
absl::StatusOr<std::vector<std::string>> MergeEnvironment(
    std::vector<std::string> base, const std::vector<std::string>& overrides,
    const std::map<std::string, std::string>& inherited);

// The entries of an --env-file.
std::vector<std::string> ParseEnvironmentFile(absl::string_view text);

// This process's own environment.
std::map<std::string, std::string> InheritedEnvironment();

// Adds "KEY=value" unless the environment has KEY.
void SetDefault(std::vector<std::string>& environment, absl::string_view key,
                absl::string_view value);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_ENVIRONMENT_H_
