// A TCP connection to a server, made within a time. Thread-safe functions that block.
#ifndef BERTH_CLIENT_SDK_TCP_DIAL_H_
#define BERTH_CLIENT_SDK_TCP_DIAL_H_

#include <poll.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"

namespace berth::client {

// Tries each address of `host` in turn; the connection does not block. Errors: UNAVAILABLE with
// the last cause.
absl::StatusOr<UniqueFd> DialTcp(const std::string& host, const std::string& port,
                                 absl::Time deadline);

// Waits for `events` (POLLIN, POLLOUT). Errors: DEADLINE_EXCEEDED.
absl::Status AwaitSocket(BorrowedFd socket, short events, absl::Time deadline);

// Whether what listens at the other end speaks HTTP/2 in the clear. `tcp` is used up. Errors:
// FAILED_PRECONDITION where it speaks TLS or something else, DEADLINE_EXCEEDED where nothing.
absl::Status CheckSpeaksPlainHttp2(UniqueFd tcp, absl::Time deadline);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TCP_DIAL_H_
