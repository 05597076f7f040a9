// What a container asks that contradicts itself, or that this machine cannot give: told when it is
// created, not when it is started. Reads /sys; stateless.
#ifndef BERTH_SERVER_ENGINE_HOST_CHECKS_H_
#define BERTH_SERVER_ENGINE_HOST_CHECKS_H_

#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::engine {

// "0-2,7" as the kernel writes it. Errors: INVALID_ARGUMENT.
absl::StatusOr<std::set<int>> ParseNumberList(absl::string_view text);

// Errors: INVALID_ARGUMENT, with Docker's words where a user may look them up; UNIMPLEMENTED.
absl::Status CheckAgainstHost(const v1::ContainerConfig& config, const v1::HostConfig& host);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_HOST_CHECKS_H_
