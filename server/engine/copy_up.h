// The content of an image's directory copied into a new volume. Thread-safe function.
#ifndef BERTH_SERVER_ENGINE_COPY_UP_H_
#define BERTH_SERVER_ENGINE_COPY_UP_H_

#include <string>

#include "absl/status/status.h"
#include "server/engine/container_table.h"
#include "server/engine/engine_parts.h"

namespace berth::engine {

// Copies what the container's root has at `target` into `volume` (a directory), with owners, modes,
// times and extended attributes; into a volume that is not empty, or from a root that has no such
// directory, nothing. A copy that is cut short leaves the volume empty. Blocks.
absl::Status CopyUp(const EngineParts& parts, const ContainerKey& key,
                    const std::string& snapshotter, const std::string& target,
                    const std::string& volume);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_COPY_UP_H_
