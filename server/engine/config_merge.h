// A container's configuration over its image's. Pure functions.
#ifndef BERTH_SERVER_ENGINE_CONFIG_MERGE_H_
#define BERTH_SERVER_ENGINE_CONFIG_MERGE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/config.pb.h"
#include "server/image/image_document.h"

namespace berth::engine {

// What Docker's create makes of both: the asked values, then the image's. Errors: INVALID_ARGUMENT
// when there is no command, or for a malformed variable, label, signal, check.
absl::StatusOr<v1::ContainerConfig> MergeConfig(v1::ContainerConfig asked,
                                                const image::ImageConfig& image);
// Entrypoint and command of a merged configuration.
std::vector<std::string> ArgumentsOf(const v1::ContainerConfig& merged);
// "SIGTERM", "TERM", "15" -> 15. Errors: INVALID_ARGUMENT.
absl::StatusOr<int> ParseSignal(absl::string_view text);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONFIG_MERGE_H_
