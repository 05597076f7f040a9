// What a shell offers while a command is typed. Thread-safe function.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_COMPLETION_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_COMPLETION_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/commands/command_node.h"

namespace berth::client {

struct Candidate {
  std::string word;
  std::string help;
};

// The objects of a kind that usage lines name: "CONTAINER", "IMAGE", "VOLUME".
using ObjectNames = std::function<std::vector<std::string>(absl::string_view kind)>;

// What the last of `words` may become; it may be empty. Nothing where a file is expected: the shell
// knows better.
std::vector<Candidate> Complete(const CommandNode& root, const std::vector<std::string>& words,
                                const ObjectNames& object_names);

// The scripts for bash and zsh, which ask the program itself.
std::string BashCompletionScript(absl::string_view program);
std::string ZshCompletionScript(absl::string_view program);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_COMPLETION_H_
