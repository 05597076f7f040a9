// The command line as data: one tree from which the parser, the help, the completion and the manual
// pages are made.
//
// Invariant: a node has children or takes arguments, never both. Built once by the registration of
// the commands, then immutable but for the values that the parser sets; owned by CommandTree.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_NODE_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_NODE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

// What an action answers: the exit status of the program.
using Action = std::function<absl::StatusOr<int>()>;

// Where options may stand: among the arguments as well, or only before the first one, so that
// "run IMAGE ls -l" needs no "--".
enum class OptionPlace { kAnywhere, kBeforeArguments };

// What a command takes beside its options.
struct Positionals {
  std::string usage;  // "IMAGE [COMMAND [ARG...]]"
  int minimum = 0;
  int maximum = 0;  // -1: any number
  OptionPlace options = OptionPlace::kAnywhere;
};

struct OptionNode {
  std::vector<std::string> names;  // "-e", "--env"
  std::string value_name;          // "LIST"; empty for a flag
  std::string help;
  // A flag gets "true" or "false". Errors: INVALID_ARGUMENT that says what was expected.
  std::function<absl::Status(absl::string_view)> set;

  bool is_flag() const { return value_name.empty(); }
  bool Has(absl::string_view name) const;
  std::string LongName() const;  // without one, the short
};

struct CommandNode {
  std::string name;
  std::vector<std::string> aliases;
  std::string summary;
  std::string description;  // a paragraph more than the summary
  std::string examples;
  std::string group;  // heading under which the help of the parent lists it
  bool is_hidden = false;

  std::vector<OptionNode> options;
  Positionals positionals;
  std::vector<std::string>* rest = nullptr;
  Action action;

  const CommandNode* parent = nullptr;
  std::vector<std::unique_ptr<CommandNode>> children;

  // By name or alias; nullptr without one.
  const CommandNode* FindChild(absl::string_view word) const;
  CommandNode* FindChild(absl::string_view word);
  // Also the root's, by their long names: short ones are for the commands' own options.
  const OptionNode* FindOption(absl::string_view name) const;
  const CommandNode& Root() const;
  std::string Path() const;   // "berth image ls"
  std::string Usage() const;  // "berth image ls [OPTIONS] [IMAGE]"
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_NODE_H_
