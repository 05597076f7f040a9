// Manual pages in roff, one for each command. Pure functions.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_MANUAL_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_MANUAL_H_

#include <string>

#include "client/commands/command_node.h"

namespace berth::client {

// "berth-image-ls.1".
std::string ManualFileName(const CommandNode& node);
std::string ManualPage(const CommandNode& node, absl::string_view version);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_MANUAL_H_
