// The one place where errno becomes a Status.
//
// The message reads "mount \"/proc\": Operation not permitted (EPERM)", the code follows from
// errno, and the errno itself travels as a payload so that callers decide by number and never by
// text. Immutable functions, thread-safe.
#ifndef BERTH_BASE_STATUS_ERRNO_STATUS_H_
#define BERTH_BASE_STATUS_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// The failure `error_number` of system call (or step) `what` on `object`; `object` is quoted when
// it is not empty.
absl::Status ErrnoStatus(int error_number, absl::string_view what, absl::string_view object = "");

// The errno that `status` carries, 0 where it has none.
int ErrnoOf(const absl::Status& status);

// "ENOENT" for ENOENT; "errno 9999" for a number without a name.
std::string ErrnoName(int error_number);

}  // namespace berth

#endif  // BERTH_BASE_STATUS_ERRNO_STATUS_H_
