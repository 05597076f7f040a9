// protobuf's Timestamp and Abseil's Time. Immutable functions, thread-safe.
#ifndef BERTH_CLIENT_SDK_TIMESTAMPS_H_
#define BERTH_CLIENT_SDK_TIMESTAMPS_H_

#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "absl/time/time.h"

namespace berth::client {

inline absl::Time FromProto(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

// RFC 3339 in UTC, as every listing shows moments.
inline std::string FormatMoment(absl::Time moment) {
  return absl::FormatTime(absl::RFC3339_full, moment, absl::UTCTimeZone());
}

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TIMESTAMPS_H_
