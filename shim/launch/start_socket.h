// The socket between `create` and `start`: init listens on it, whoever starts the container
// connects.
//
// Its path may be of any length: it is bound and reached through its directory's descriptor, for a
// socket's address holds 107 bytes and dockerd's state directories alone take more.
// Thread-compatible. Owned by who asks.
#ifndef BERTH_SHIM_LAUNCH_START_SOCKET_H_
#define BERTH_SHIM_LAUNCH_START_SOCKET_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth::launch {

// A listening SOCK_SEQPACKET socket, mode 0600.
absl::StatusOr<UniqueFd> ListenForStart(const std::string& path);

// Connected to it. Errors: FAILED_PRECONDITION when nobody listens.
absl::StatusOr<UniqueFd> ConnectForStart(const std::string& path);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_START_SOCKET_H_
