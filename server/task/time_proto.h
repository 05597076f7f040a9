// absl::Time to and from google.protobuf.Timestamp. Pure functions, thread-safe.
#ifndef BERTH_SERVER_TASK_TIME_PROTO_H_
#define BERTH_SERVER_TASK_TIME_PROTO_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace berth {

inline google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  const absl::Duration since_epoch = time - absl::UnixEpoch();
  const absl::Duration whole = absl::Floor(since_epoch, absl::Seconds(1));
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(absl::ToInt64Seconds(whole));
  timestamp.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(since_epoch - whole)));
  return timestamp;
}

inline absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp) {
  return absl::UnixEpoch() + absl::Seconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TIME_PROTO_H_
