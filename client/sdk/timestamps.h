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

inline google::protobuf::Timestamp ToProto(absl::Time moment) {
  google::protobuf::Timestamp timestamp;
  const int64_t seconds = absl::ToUnixSeconds(moment);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(moment - absl::FromUnixSeconds(seconds))));
  return timestamp;
}

// RFC 3339 in UTC, as every listing shows moments.
inline std::string FormatMoment(absl::Time moment) {
  return absl::FormatTime(absl::RFC3339_full, moment, absl::UTCTimeZone());
}

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TIMESTAMPS_H_
