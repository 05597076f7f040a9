// Listening TCP sockets. Thread-safe functions.
#ifndef BERTH_BASE_OS_TCP_SOCKET_H_
#define BERTH_BASE_OS_TCP_SOCKET_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

// Whether "host:port" is an address that only this machine reaches: 127.0.0.0/8 or [::1].
// Errors: INVALID_ARGUMENT for anything but a numeric address and a port; an IPv6 address stands in
// brackets.
absl::StatusOr<bool> IsLoopback(absl::string_view address);

// A bound and listening socket, non-blocking. Errors: as IsLoopback; UNAVAILABLE where the port is
// taken.
absl::StatusOr<UniqueFd> ListenTcp(absl::string_view address, int backlog);

// The same text for the address that a socket is bound to: the port may have been 0.
absl::StatusOr<std::string> BoundTcpAddress(BorrowedFd socket);

}  // namespace berth

#endif  // BERTH_BASE_OS_TCP_SOCKET_H_
