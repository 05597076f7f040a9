#include "client/commands/hidden_input.h"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

namespace berth::client {

absl::StatusOr<std::string> ReadHiddenLine(absl::string_view prompt) {
  termios saved;
  if (::tcgetattr(STDIN_FILENO, &saved) != 0) {
    return absl::InvalidArgumentError(
        "no password: standard input is no terminal; pipe it in with --password-stdin");
  }
  std::fprintf(stderr, "%s", std::string(prompt).c_str());
  termios hidden = saved;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  std::string line;
  std::getline(std::cin, line);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
  std::fprintf(stderr, "\n");
  return line;
}

}  // namespace berth::client
