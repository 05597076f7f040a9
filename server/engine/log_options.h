// From a log configuration to the shim's word for it. Pure functions.
#ifndef BERTH_SERVER_ENGINE_LOG_OPTIONS_H_
#define BERTH_SERVER_ENGINE_LOG_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/engine/v1/record.pb.h"

namespace berth::engine {

// "10m", "512k", "1g", "100" -> bytes. Errors: INVALID_ARGUMENT.
absl::StatusOr<int64_t> ParseSize(absl::string_view text);
// Errors: INVALID_ARGUMENT for values that make no sense.
absl::Status CheckLogOptions(const v1::LogConfig& log);
// What stdout and stderr of the task are: the log and attach, or attach alone.
std::string LogTargetOf(const v1::Container& container);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_LOG_OPTIONS_H_
