// The OCI runtime spec of a container that the engine made. Pure but for the host's devices.
#ifndef BERTH_SERVER_ENGINE_SPEC_BUILDER_H_
#define BERTH_SERVER_ENGINE_SPEC_BUILDER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/oci/seccomp_profile.h"
#include "proto/berth/engine/v1/exec.pb.h"
#include "server/engine/spec_input.h"

namespace berth::engine {

// Errors: INVALID_ARGUMENT, NOT_FOUND, each naming the option.
absl::StatusOr<oci::Json> BuildSpec(const SpecInput& input);
// The process of an exec.
absl::StatusOr<oci::Json> BuildExecProcess(const SpecInput& input,
                                           const v1::CreateExecRequest& exec);
// The process of a health check; null without one.
absl::StatusOr<oci::Json> BuildHealthProcess(const SpecInput& input);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SPEC_BUILDER_H_
