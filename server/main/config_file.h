// Reads the configuration file: TOML, in Berth's form or containerd's version 2 and 3.
//
// Invariant: an unknown key or a wrong value is refused with file, line, column and what was
// expected; keys of containerd's that have no meaning here are named in the warnings, and never
// silently dropped. Thread-safe functions.
#ifndef BERTH_SERVER_MAIN_CONFIG_FILE_H_
#define BERTH_SERVER_MAIN_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/main/config.h"

namespace berth {

struct LoadedConfig {
  Config config;
  std::vector<std::string> warnings;
};

// Errors: INVALID_ARGUMENT, with `file_name` in the message.
absl::StatusOr<LoadedConfig> ParseConfig(absl::string_view text, absl::string_view file_name);
// Errors: NOT_FOUND where there is no such file.
absl::StatusOr<LoadedConfig> LoadConfig(absl::string_view path);

// All checks of config_keys on a Config that was put together otherwise. Errors: INVALID_ARGUMENT
// with the key.
absl::Status CheckConfig(const Config& config);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_CONFIG_FILE_H_
