// One message of a unix socket with a text and at most one descriptor (SCM_RIGHTS of unix(7)):
// terminals, seccomp listeners, accepted connections.
//
// Thread-safe functions.
#ifndef BERTH_BASE_OS_DESCRIPTOR_MESSAGE_H_
#define BERTH_BASE_OS_DESCRIPTOR_MESSAGE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

struct DescriptorMessage {
  std::string text;     // empty: the other side has gone
  UniqueFd descriptor;  // invalid: none came
};

// Sends `text`, which must not be empty, and `descriptor` unless it is invalid. `flags`: of
// sendmsg(2). Errors: as errno; RESOURCE_EXHAUSTED when the socket took only a part.
absl::Status SendDescriptor(BorrowedFd socket, absl::string_view text, BorrowedFd descriptor,
                            int flags = 0);

// Receives one message of at most `limit` bytes. `flags`: of recvmsg(2). Errors: as errno.
absl::StatusOr<DescriptorMessage> ReceiveDescriptor(BorrowedFd socket, size_t limit, int flags = 0);

}  // namespace berth

#endif  // BERTH_BASE_OS_DESCRIPTOR_MESSAGE_H_
