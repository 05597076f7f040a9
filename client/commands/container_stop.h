// Ends a container's program: politely, then by force. Thread-safe function.
#ifndef BERTH_CLIENT_COMMANDS_CONTAINER_STOP_H_
#define BERTH_CLIENT_COMMANDS_CONTAINER_STOP_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/sdk/connection.h"
#include "client/sdk/container_client.h"

namespace berth::client {

// Sends `signal` to the main process, gives it `grace`, then SIGKILL to all; deletes the task and
// records its exit. A container that does not run is no error. Blocks: up to `grace`, and a while.
absl::Status StopContainer(const Connection& connection, const ContainerRecord& container,
                           int signal, absl::Duration grace);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CONTAINER_STOP_H_
