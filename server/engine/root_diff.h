// What a container changed in its image's files: its overlay's upper directory against the lower
// ones. Pure but for the disk.
#ifndef BERTH_SERVER_ENGINE_ROOT_DIFF_H_
#define BERTH_SERVER_ENGINE_ROOT_DIFF_H_

#include <vector>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/view.pb.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::engine {

// In order of path. Errors: UNIMPLEMENTED for a root that is no overlay. Blocks.
absl::StatusOr<v1::DiffContainerResponse> DiffRoot(const std::vector<snapshots::Mount>& mounts);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_ROOT_DIFF_H_
