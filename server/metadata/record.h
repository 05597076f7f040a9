// Protocol messages as rows: parsing, and the times that they carry. Thread-safe functions.
#ifndef BERTH_SERVER_METADATA_RECORD_H_
#define BERTH_SERVER_METADATA_RECORD_H_

#include <google/protobuf/message_lite.h>
#include <google/protobuf/timestamp.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::metadata {

// Errors: DATA_LOSS naming `what`, e.g. "container \"web\"".
template <typename Record>
absl::StatusOr<Record> ParseRecord(absl::string_view bytes, absl::string_view what) {
  Record record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(
        absl::StrCat("the stored record of ", what, " is damaged: delete it and create it again"));
  }
  return record;
}

google::protobuf::Timestamp ToTimestamp(absl::Time time);
absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_RECORD_H_
