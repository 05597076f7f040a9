// Linux capabilities by name: docker's default set, and what --cap-add and --cap-drop make of it.
// Pure but for HostBoundingCapabilities.
#ifndef BERTH_BASE_OCI_CAPABILITIES_H_
#define BERTH_BASE_OCI_CAPABILITIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace berth::oci {

// "CAP_CHOWN", ... in the kernel's order.
std::vector<std::string> DefaultCapabilities();

// All that this process could give to another: its bounding set.
std::vector<std::string> HostBoundingCapabilities();

// `base` with `add` and without `drop`; names with or without "CAP_", in any case; "ALL" in either.
// Errors: INVALID_ARGUMENT for a name that no kernel knows.
absl::StatusOr<std::vector<std::string>> AdjustCapabilities(std::vector<std::string> base,
                                                            const std::vector<std::string>& add,
                                                            const std::vector<std::string>& drop,
                                                            const std::vector<std::string>& all);

}  // namespace berth::oci

#endif  // BERTH_BASE_OCI_CAPABILITIES_H_
