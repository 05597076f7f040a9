// What confines a process: capabilities, seccomp, apparmor, masked paths, as a host configuration
// asks for it. Pure but for the host's bounding set.
#ifndef BERTH_SERVER_ENGINE_SPEC_SECURITY_H_
#define BERTH_SERVER_ENGINE_SPEC_SECURITY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/oci/seccomp_profile.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::engine {

struct SecuritySpec {
  std::vector<std::string> capabilities;
  std::optional<oci::Json> seccomp;
  std::string apparmor_profile;
  bool no_new_privileges = false;
  bool system_paths_confined = true;
};

// Errors: INVALID_ARGUMENT, naming the option.
absl::StatusOr<SecuritySpec> ResolveSecurity(const v1::HostConfig& host);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SPEC_SECURITY_H_
