// Starts what a container record describes: with the user's stdio, or in the background with its
// output in a log file.
//
// Invariant: a task that could not be started is deleted again. The foreground form returns after
// the exit, with the task deleted and all output delivered. Thread-hostile in the foreground form
// (terminal, signals).
#ifndef BERTH_CLIENT_COMMANDS_TASK_STARTER_H_
#define BERTH_CLIENT_COMMANDS_TASK_STARTER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "client/attach/stdio_fifos.h"
#include "client/sdk/connection.h"
#include "client/sdk/snapshot_client.h"
#include "client/sdk/task_client.h"

namespace berth::client {

struct StartOptions {
  std::string container_id;
  Mounts root_mounts;
  WithTerminal terminal = WithTerminal::kNo;
  WithStdin stdin_attached = WithStdin::kNo;
  std::string fifo_directory;
  std::string log_path;  // foreground: a copy of the output, when not empty
};

// Answers how the program ended. Blocks until then.
absl::StatusOr<ExitResult> StartInForeground(const Connection& connection,
                                             const StartOptions& options);

// Answers the pid on the host. Output goes to `log_path`; stdin is /dev/null.
absl::StatusOr<uint32_t> StartInBackground(const Connection& connection,
                                           const StartOptions& options);

// docker's exit code for a failed Create or Start: 127 when `program` was not found, 126 when it
// cannot be executed, 125 for all else.
int ExitCodeOfStartFailure(const absl::Status& failure, absl::string_view program);

// Whether the terminal option of a container's spec is set.
bool SpecHasTerminal(absl::string_view spec_json);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_TASK_STARTER_H_
