// What -v, --mount and --tmpfs say, as messages for the server. Pure functions.
#ifndef BERTH_CLIENT_OPTIONS_MOUNT_SYNTAX_H_
#define BERTH_CLIENT_OPTIONS_MOUNT_SYNTAX_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::client {

// "SOURCE:DESTINATION[:OPTIONS]"; a source with a slash is a path, taken from `working_directory`
// when relative, else the name of a volume. "DESTINATION" alone is an anonymous volume. Errors:
// INVALID_ARGUMENT that says what is wrong, here and below.
absl::StatusOr<::berth::engine::v1::Mount> ParseVolumeOption(absl::string_view text,
                                                             absl::string_view working_directory);

// "type=bind,source=/a,target=/b,readonly", a line of CSV.
absl::StatusOr<::berth::engine::v1::Mount> ParseMountOption(absl::string_view text,
                                                            absl::string_view working_directory);

// "PATH[:OPTIONS]".
absl::StatusOr<::berth::engine::v1::Mount> ParseTmpfsOption(absl::string_view text);

}  // namespace berth::client

#endif  // BERTH_CLIENT_OPTIONS_MOUNT_SYNTAX_H_
