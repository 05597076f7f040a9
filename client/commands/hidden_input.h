// A line from the terminal that is not shown while it is typed. Thread-hostile: changes the
// terminal for the moment.
#ifndef BERTH_CLIENT_COMMANDS_HIDDEN_INPUT_H_
#define BERTH_CLIENT_COMMANDS_HIDDEN_INPUT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

// Errors: INVALID_ARGUMENT when standard input is no terminal.
absl::StatusOr<std::string> ReadHiddenLine(absl::string_view prompt);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_HIDDEN_INPUT_H_
