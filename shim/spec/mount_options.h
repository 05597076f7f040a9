// The words of an OCI mount's `options` list, applied to a MountPlan.
//
// Every word that names a flag is in one table; any other is data for the filesystem. Later words
// win over earlier ones, as with mount(8). Pure functions, thread-safe.
#ifndef BERTH_SHIM_SPEC_MOUNT_OPTIONS_H_
#define BERTH_SHIM_SPEC_MOUNT_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "shim/spec/launch_plan.h"

namespace berth::spec {

void ApplyMountOption(absl::string_view option, MountPlan& mount);

// All words that are not filesystem data, sorted: for `features`.
std::vector<std::string> KnownMountOptions();

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_MOUNT_OPTIONS_H_
