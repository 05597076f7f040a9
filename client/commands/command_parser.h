// Words to a command: options as POSIX and GNU have them, and as docker's users type them (-it,
// -eA=1, --env=A=1, --flag=false). Sets the variables that the tree's options are bound to; pure
// otherwise.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_PARSER_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_PARSER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/commands/command_node.h"

namespace berth::client {

struct ParseOutcome {
  const CommandNode* node = nullptr;  // as far as the words lead
  bool wants_help = false;
  absl::Status error;  // INVALID_ARGUMENT, with a suggestion where a word is nearly right
};

ParseOutcome ParseCommandLine(CommandNode& root, const std::vector<std::string>& words);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_PARSER_H_
