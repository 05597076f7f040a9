// absl::Time to the wire. Thread-safe functions.
#ifndef BERTH_SHIM_SERVICE_TIMESTAMP_H_
#define BERTH_SHIM_SERVICE_TIMESTAMP_H_

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace berth::service {

// InfinitePast, which stands for "never", leaves `timestamp` as it is.
inline void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp) {
  if (time == absl::InfinitePast()) return;
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp->set_seconds(seconds);
  timestamp->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

// The other way round; all zero is "never".
inline absl::Time TimeOf(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0 && timestamp.nanos() == 0) return absl::InfinitePast();
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_TIMESTAMP_H_
