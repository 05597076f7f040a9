// berthd's command line: its own flags, which are also containerd's.
//
// Thread-safe function.
#ifndef BERTH_SERVER_MAIN_COMMAND_LINE_H_
#define BERTH_SERVER_MAIN_COMMAND_LINE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace berth {

struct CommandLine {
  enum class Action {
    kServe,
    kPrintDefaultConfig,    // config default
    kPrintEffectiveConfig,  // config dump: file and flags together
    kPrintText,             // --help and --version: `text` on stdout
  };
  Action action = Action::kServe;
  std::string text;
  std::optional<std::string> config_path;
  std::optional<std::string> root;
  std::optional<std::string> state;
  std::optional<std::string> address;
  std::optional<std::string> log_level;
};

// Errors: INVALID_ARGUMENT, with a pointer to --help.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_COMMAND_LINE_H_
