// What --help prints of a command. Pure but for the question whether a stream is a terminal.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_HELP_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_HELP_H_

#include <cstdio>
#include <string>

#include "client/commands/command_node.h"

namespace berth::client {

enum class HelpStyle { kPlain, kColour };

// Colour on a terminal, unless NO_COLOR is set or TERM is "dumb".
HelpStyle HelpStyleFor(std::FILE* stream);

std::string HelpText(const CommandNode& node, HelpStyle style);

// "-e, --env LIST".
std::string OptionHeading(const OptionNode& option);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_HELP_H_
