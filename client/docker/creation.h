// A container from the words of `run` and `create`: the request, the image when it is missing, the
// id file. Thread-hostile (reads the environment).
#ifndef BERTH_CLIENT_DOCKER_CREATION_H_
#define BERTH_CLIENT_DOCKER_CREATION_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/commands/context.h"
#include "client/options/create_options.h"
#include "client/sdk/engine_client.h"

namespace berth::client {

// What to change in the request before it is sent.
using RequestChange = std::function<void(engine::CreateContainerRequest&)>;

// Warnings of the server go to standard error. Errors: INVALID_ARGUMENT for the words.
absl::StatusOr<engine::CreateContainerResponse> CreateFromOptions(const Context& context,
                                                                  const EngineClient& client,
                                                                  const CreateOptions& options,
                                                                  const RequestChange& change);

// Says on standard error what went wrong and answers the exit code.
int FailWith(absl::string_view verb, const absl::Status& status, int exit_code);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_CREATION_H_
