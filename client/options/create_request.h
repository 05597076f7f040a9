// The typed words of `run` and `create` as the request that the server gets. Reads the files that
// the words name (variables, labels, seccomp profiles) and nothing else. Thread-safe functions.
#ifndef BERTH_CLIENT_OPTIONS_CREATE_REQUEST_H_
#define BERTH_CLIENT_OPTIONS_CREATE_REQUEST_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/options/create_options.h"
#include "proto/berth/engine/v1/life.pb.h"

namespace berth::client {

struct CreateSurroundings {
  std::string working_directory;                   // of relative paths
  std::map<std::string, std::string> environment;  // of -e KEY
};

// Errors: INVALID_ARGUMENT that names the option and its value.
absl::StatusOr<::berth::engine::v1::CreateContainerRequest> MakeCreateRequest(
    const CreateOptions& options, const CreateSurroundings& surroundings);

// Entries of -e and --env-file: KEY alone gets the value of `inherited`, and stays KEY without one.
absl::StatusOr<std::vector<std::string>> ResolveEnvironment(
    const std::vector<std::string>& files, const std::vector<std::string>& entries,
    const std::map<std::string, std::string>& inherited);

}  // namespace berth::client

#endif  // BERTH_CLIENT_OPTIONS_CREATE_REQUEST_H_
