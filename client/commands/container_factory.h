// Makes a container out of an image and options: unpacked layers, a snapshot for its root, a spec,
// a record. Nothing runs yet.
//
// Invariant: all or nothing: when it fails, neither snapshot nor record is left. Thread-safe
// functions.
#ifndef BERTH_CLIENT_COMMANDS_CONTAINER_FACTORY_H_
#define BERTH_CLIENT_COMMANDS_CONTAINER_FACTORY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/commands/run_options.h"
#include "client/sdk/connection.h"
#include "client/sdk/container_client.h"
#include "client/sdk/image_document.h"
#include "client/sdk/snapshot_client.h"

namespace berth::client {

struct CreatedContainer {
  ContainerRecord record;
  Mounts root_mounts;
  std::vector<std::string> arguments;  // what will be executed
};

struct FactoryOptions {
  std::string snapshotter;
  std::string log_path;  // kept on the record; empty: no log
  int terminal_columns = 0;
  int terminal_rows = 0;
};

// `connection` must carry a lease. Errors: INVALID_ARGUMENT for options, NOT_FOUND for the image or
// a user, ALREADY_EXISTS when the name is taken.
absl::StatusOr<CreatedContainer> CreateContainer(const Connection& connection, std::string id,
                                                 const RunOptions& options,
                                                 const FactoryOptions& factory);

// Entry point and command, as docker combines them. Errors: INVALID_ARGUMENT when nothing is left
// to execute.
absl::StatusOr<std::vector<std::string>> CombineArguments(const ImageConfig& image,
                                                          const RunOptions& options);

// The snapshotter to use: `wanted`, else the namespace's default, else overlayfs.
std::string ChooseSnapshotter(const Connection& connection, absl::string_view wanted);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CONTAINER_FACTORY_H_
