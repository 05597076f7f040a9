// The devices of a spec: nodes to make and rules for the device control group. Looks at the host's
// device nodes. Thread-safe function.
#ifndef BERTH_SERVER_ENGINE_SPEC_DEVICES_H_
#define BERTH_SERVER_ENGINE_SPEC_DEVICES_H_

#include "absl/status/statusor.h"
#include "base/oci/seccomp_profile.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::engine {

struct DeviceSpec {
  oci::Json nodes = oci::Json::array();  // linux.devices
  oci::Json rules = oci::Json::array();  // linux.resources.devices
};

// Errors: INVALID_ARGUMENT for a malformed option, NOT_FOUND for a device that the host lacks.
absl::StatusOr<DeviceSpec> ResolveDevices(const v1::HostConfig& host);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SPEC_DEVICES_H_
