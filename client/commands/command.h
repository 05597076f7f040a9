// The command line as a tree that commands register themselves in: each binds its options to
// variables and leaves an action; the tree is parsed once and the chosen action run.
//
// Invariant: the variables given to Flag, Option and Rest outlive the tree; commands keep them in a
// shared struct that their action holds. Thread-compatible; owned by client/cli.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/commands/command_node.h"

namespace berth::client {

// A place in the tree. `names` of an option: "-e,--env", and after a space what the help calls its
// value: "-e,--env LIST".
class Command {
 public:
  // Understands --flag and --flag=false.
  Command& Flag(absl::string_view names, bool& value, absl::string_view help);
  Command& Flag(absl::string_view names, std::optional<bool>& value, absl::string_view help);
  Command& Option(absl::string_view names, std::string& value, absl::string_view help);
  Command& Option(absl::string_view names, int& value, absl::string_view help);
  Command& Option(absl::string_view names, int64_t& value, absl::string_view help);
  Command& Option(absl::string_view names, double& value, absl::string_view help);
  Command& Option(absl::string_view names, std::optional<std::string>& value,
                  absl::string_view help);
  Command& Option(absl::string_view names, std::optional<int>& value, absl::string_view help);
  // May be given more than once, one value each.
  Command& Option(absl::string_view names, std::vector<std::string>& values,
                  absl::string_view help);
  Command& Rest(const Positionals& positionals, std::vector<std::string>& values);
  Command& Description(absl::string_view text);
  Command& Examples(absl::string_view text);
  Command& Group(absl::string_view heading);
  Command& Hide();
  Command& Do(Action action);

  // A command below this one. `names`: the name, then aliases, separated by commas. The root's text
  // options are known there by their long names as well.
  Command Add(absl::string_view names, absl::string_view description);

 private:
  friend class CommandTree;
  explicit Command(CommandNode& node) : node_(&node) {}
  Command& AddOption(absl::string_view names, absl::string_view default_value_name,
                     absl::string_view help, std::function<absl::Status(absl::string_view)> set);

  CommandNode* node_;
};

class CommandTree {
 public:
  CommandTree(absl::string_view program, absl::string_view description);
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  Command root() { return Command(root_); }
  const CommandNode& node() const { return root_; }

  // The heading under which the root's help lists these commands, in this order of groups.
  void SetGroup(absl::string_view heading, const std::vector<std::string>& names);

  struct Parsed {
    Action action;        // set when a command is to be run
    int exit_code = 0;    // otherwise: help was printed (0), or a mistake explained (not 0)
    std::string command;  // "berth run": for messages
  };
  Parsed Parse(int argc, const char* const* argv);

 private:
  CommandNode root_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_H_
