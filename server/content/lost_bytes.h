// The NOT_FOUND of a blob whose record is there and whose bytes are not: somebody took them from
// the disk. A blob that was removed has no record.
//
// Pure functions, thread-safe.
#ifndef BERTH_SERVER_CONTENT_LOST_BYTES_H_
#define BERTH_SERVER_CONTENT_LOST_BYTES_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::content {

absl::Status LostBytes(absl::string_view digest);
bool IsLostBytes(const absl::Status& status);

}  // namespace berth::content

#endif  // BERTH_SERVER_CONTENT_LOST_BYTES_H_
