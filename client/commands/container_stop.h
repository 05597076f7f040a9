// Ends a container's program: politely, then by force. Thread-safe function.
#ifndef BERTH_CLIENT_COMMANDS_CONTAINER_STOP_H_
#define BERTH_CLIENT_COMMANDS_CONTAINER_STOP_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/sdk/connection.h"
#include "client/sdk/container_client.h"

namespace berth::client {

// Sends `signal` to the main process, gives it `grace`, then SIGKILL to all; deletes the task and
// records its exit. A container that does not run is no error. Blocks: up to `grace`, and a while.
absl::Status StopContainer(const Connection& connection, const ContainerRecord& container,
                           int signal, absl::Duration grace);

// Whether a program that is PID 1 of its namespace will not notice `signal`: the kernel delivers
// only what it has a handler for. `status`: the text of /proc/PID/status. Pure.
bool WillIgnore(absl::string_view status, int signal);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CONTAINER_STOP_H_
