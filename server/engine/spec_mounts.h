// The mounts of a spec. Pure function.
#ifndef BERTH_SERVER_ENGINE_SPEC_MOUNTS_H_
#define BERTH_SERVER_ENGINE_SPEC_MOUNTS_H_

#include "absl/status/statusor.h"
#include "base/oci/seccomp_profile.h"
#include "server/engine/spec_input.h"

namespace berth::engine {

absl::StatusOr<oci::Json> MountsSpec(const SpecInput& input);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SPEC_MOUNTS_H_
