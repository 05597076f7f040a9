// The command line as a tree: a thin face on CLI11, which stays in one source file (it is large and
// throws). A command binds its options to variables and leaves an action; the tree is parsed once
// and the chosen action run.
//
// Invariant: the variables given to Flag, Option and Rest outlive the tree; commands keep them in a
// shared struct that their action holds. Thread-compatible; owned by client/cli.
#ifndef BERTH_CLIENT_COMMANDS_COMMAND_H_
#define BERTH_CLIENT_COMMANDS_COMMAND_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace CLI {
class App;
}  // namespace CLI

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

class CommandTree;

class Command {
 public:
  Command& Flag(absl::string_view names, bool& value, absl::string_view help);
  Command& Option(absl::string_view names, std::string& value, absl::string_view help);
  Command& Option(absl::string_view names, int& value, absl::string_view help);
  Command& Option(absl::string_view names, double& value, absl::string_view help);
  // May be given more than once, one value each.
  Command& Option(absl::string_view names, std::vector<std::string>& values,
                  absl::string_view help);
  Command& Rest(const Positionals& positionals, std::vector<std::string>& values);
  Command& Examples(absl::string_view text);
  Command& Do(Action action);

  // A command below this one. `names`: the name, then aliases, separated by commas. The root's text
  // options, declared before, are known there by their long names as well.
  Command Add(absl::string_view names, absl::string_view description);

 private:
  friend class CommandTree;
  Command(CommandTree& tree, CLI::App& app) : tree_(&tree), app_(&app) {}

  CommandTree* tree_;
  CLI::App* app_;
};

class CommandTree {
 public:
  CommandTree(absl::string_view program, absl::string_view description);
  ~CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  Command root();

  struct Parsed {
    Action action;      // set when a command is to be run
    int exit_code = 0;  // otherwise: help was printed (0), or a mistake explained (not 0)
  };
  Parsed Parse(int argc, const char* const* argv);

 private:
  friend class Command;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_COMMAND_H_
