// Why stopping a container will take its whole grace: nobody likes to wait ten seconds without
// knowing why. Thread-safe functions.
#ifndef BERTH_CLIENT_DOCKER_STOP_HINT_H_
#define BERTH_CLIENT_DOCKER_STOP_HINT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/sdk/engine_client.h"

namespace berth::client {

// Whether a program that is PID 1 of its namespace will not notice `signal`: the kernel delivers
// only what it has a handler for. `status`: the text of /proc/PID/status. Pure.
bool WillIgnore(absl::string_view status, int signal);

// Says on standard error when the container's program ignores what `berth stop` sends. `signal` and
// `timeout_seconds` as the user gave them. Says nothing when it cannot know.
void ExplainStop(const EngineClient& client, const std::string& container,
                 const std::string& signal, std::optional<int> timeout_seconds);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_STOP_HINT_H_
