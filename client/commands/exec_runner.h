// Runs one more process in a container: `berth exec` and `berth task exec`. Thread-hostile
// (terminal, signals).
#ifndef BERTH_CLIENT_COMMANDS_EXEC_RUNNER_H_
#define BERTH_CLIENT_COMMANDS_EXEC_RUNNER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/command.h"
#include "client/commands/context.h"

namespace berth::client {

struct ExecOptions {
  bool is_interactive = false;
  bool has_terminal = false;
  bool is_detached = false;
  bool is_privileged = false;
  std::vector<std::string> environment;
  std::string working_directory;
  std::string user;
  std::string exec_id;
  std::vector<std::string> rest;  // container, command
};

// Declares the options; `options` must outlive the command.
void BindExecOptions(Command& command, ExecOptions& options);

// Answers the program's exit code, or docker's 125, 126, 127 after explaining on stderr.
absl::StatusOr<int> RunExec(const Context& context, const ExecOptions& options);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_EXEC_RUNNER_H_
