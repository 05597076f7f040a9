// What a list of mounts means for reading or writing its tree without mounting anything.
//
// A bind mount is the directory it names; an overlay is its upper directory over its lower ones.
// Pure functions and immutable values.
#ifndef BERTH_SERVER_WORKER_MOUNT_PLAN_H_
#define BERTH_SERVER_WORKER_MOUNT_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace berth::worker {

struct MountSpec {
  std::string type;
  std::string source;
  std::string target;
  std::vector<std::string> options;
};

struct MountPlan {
  enum class Kind {
    kEmpty,    // no mounts: an empty tree
    kBind,     // layers[0] alone
    kOverlay,  // layers from the top down
    kOther,    // must be mounted
  };
  Kind kind = Kind::kEmpty;
  std::vector<std::string> layers;  // absolute directories
  enum class Access { kReadOnly, kWritable } access = Access::kReadOnly;
  // Of an overlay with userxattr.
  enum class Marks { kTrusted, kUser } marks = Marks::kTrusted;
};

// Errors: INVALID_ARGUMENT for an overlay without lower directories or a bind without a source;
// UNIMPLEMENTED for several mounts, whose tree only mounting can show.
absl::StatusOr<MountPlan> PlanMounts(absl::Span<const MountSpec> mounts);

// Whether `right` is exactly `left` with one layer on top, so that this layer is the difference.
bool IsOneLayerAbove(const MountPlan& left, const MountPlan& right);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_MOUNT_PLAN_H_
