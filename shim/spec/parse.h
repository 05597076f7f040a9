// config.json and its parts, from JSON text to validated plans.
//
// Accepts whatever the default specs of ctr, dockerd, nerdctl and podman hold; unknown members are
// ignored. Errors carry the JSON path: INVALID_ARGUMENT `$.linux.namespaces[2].type: unknown
// namespace "foo"`, UNIMPLEMENTED for what Berth or Linux lacks. Pure functions without system
// calls, thread-safe.
#ifndef BERTH_SHIM_SPEC_PARSE_H_
#define BERTH_SHIM_SPEC_PARSE_H_

#include <string>

#include "absl/status/statusor.h"
#include "shim/spec/launch_plan.h"
#include "shim/spec/process_plan.h"
#include "shim/spec/resources.h"

namespace berth::spec {

absl::StatusOr<LaunchPlan> ParseSpec(std::string json);
// An OCI Process object by itself, as an exec brings it; warnings are appended to `warnings`.
absl::StatusOr<ProcessPlan> ParseProcess(std::string json, std::vector<std::string>& warnings);
// An OCI LinuxResources object by itself, as an update brings it.
absl::StatusOr<Resources> ParseResources(std::string json);

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_PARSE_H_
