// linux.resources of a spec, and the same for an update. Pure functions.
#ifndef BERTH_SERVER_ENGINE_SPEC_RESOURCES_H_
#define BERTH_SERVER_ENGINE_SPEC_RESOURCES_H_

#include "absl/status/statusor.h"
#include "base/oci/seccomp_profile.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::engine {

// Without devices.
absl::StatusOr<oci::Json> ResourcesSpec(const v1::Resources& resources);
// Fields of `change` that are set replace those of `resources`.
void MergeResources(const v1::Resources& change, v1::Resources& resources);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SPEC_RESOURCES_H_
