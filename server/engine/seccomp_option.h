// A seccomp profile in Docker's form, reduced to what a spec holds. Pure function.
#ifndef BERTH_SERVER_ENGINE_SECCOMP_OPTION_H_
#define BERTH_SERVER_ENGINE_SECCOMP_OPTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/oci/seccomp_profile.h"

namespace berth::engine {

// Docker's rules may ask for capabilities, architectures and kernels ("includes", "excludes");
// those that do not apply are left out. A profile in OCI's form passes unchanged. Errors:
// INVALID_ARGUMENT.
absl::StatusOr<oci::Json> ParseSeccompOption(absl::string_view json,
                                             const std::vector<std::string>& capabilities);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SECCOMP_OPTION_H_
