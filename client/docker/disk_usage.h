// `berth system df` as text. Pure functions.
#ifndef BERTH_CLIENT_DOCKER_DISK_USAGE_H_
#define BERTH_CLIENT_DOCKER_DISK_USAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/berth/engine/v1/system.pb.h"

namespace berth::client {

absl::StatusOr<std::string> DiskUsageSummary(const ::berth::engine::v1::DiskUsageResponse& usage,
                                             absl::string_view format);
absl::StatusOr<std::string> VerboseDiskUsage(const ::berth::engine::v1::DiskUsageResponse& usage,
                                             absl::Time now);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_DISK_USAGE_H_
