// What `-v SOURCE:DESTINATION[:OPTIONS]` and `--tmpfs PATH[:OPTIONS]` mean. Immutable value, pure
// functions.
#ifndef BERTH_CLIENT_SDK_MOUNT_OPTION_H_
#define BERTH_CLIENT_SDK_MOUNT_OPTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

// As OCI writes a mount.
struct MountOption {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
};

// A relative source is taken from `working_directory`. Errors: INVALID_ARGUMENT, naming the fault.
absl::StatusOr<MountOption> ParseVolume(absl::string_view text,
                                        absl::string_view working_directory);
absl::StatusOr<MountOption> ParseTmpfs(absl::string_view text);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_MOUNT_OPTION_H_
