// The values of single options: sizes, limits, devices, policies, durations, ports. Pure functions;
// every error is INVALID_ARGUMENT and says what was expected.
#ifndef BERTH_CLIENT_OPTIONS_VALUE_SYNTAX_H_
#define BERTH_CLIENT_OPTIONS_VALUE_SYNTAX_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::client {

// "64m", "1.5g", "512": powers of 1024.
absl::StatusOr<int64_t> ParseByteSize(absl::string_view text);
// The same, and -1.
absl::StatusOr<int64_t> ParseByteSizeOrUnlimited(absl::string_view text);
// "1.5" as 1500000000.
absl::StatusOr<int64_t> ParseNanoCpus(absl::string_view text);
// "30s", "1m30s", "500ms"; "0" as well.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);
// A moment: RFC 3339, "2026-01-02", seconds since the epoch, or a duration before `now`.
absl::StatusOr<absl::Time> ParseMoment(absl::string_view text, absl::Time now);

// "nofile=1024:2048"; "nofile=1024" sets both, -1 is unlimited.
absl::StatusOr<::berth::engine::v1::Ulimit> ParseUlimit(absl::string_view text);
// "/dev/x[:/dev/y[:rwm]]".
absl::StatusOr<::berth::engine::v1::DeviceMapping> ParseDevice(absl::string_view text);
// "/dev/sda:500".
absl::StatusOr<::berth::engine::v1::WeightDevice> ParseWeightDevice(absl::string_view text);
// "/dev/sda:1mb" and "/dev/sda:1000".
absl::StatusOr<::berth::engine::v1::ThrottleDevice> ParseThrottleBytes(absl::string_view text);
absl::StatusOr<::berth::engine::v1::ThrottleDevice> ParseThrottleOperations(absl::string_view text);
// "no", "always", "unless-stopped", "on-failure[:N]".
absl::StatusOr<::berth::engine::v1::RestartPolicy> ParseRestartPolicy(absl::string_view text);
// "[IP:][HOST_PORT:]PORT[/tcp|udp|sctp]"; ranges become several.
absl::StatusOr<std::vector<::berth::engine::v1::PortBinding>> ParsePort(absl::string_view text);
// An IPv4 or IPv6 address.
absl::StatusOr<std::string> ParseAddress(absl::string_view text);
// "NAME:ADDRESS" and "NAME=ADDRESS"; answers the first form.
absl::StatusOr<std::string> ParseExtraHost(absl::string_view text);
// "KEY=VALUE", where the value may be missing.
absl::StatusOr<std::pair<std::string, std::string>> ParseKeyValue(absl::string_view text);

}  // namespace berth::client

#endif  // BERTH_CLIENT_OPTIONS_VALUE_SYNTAX_H_
