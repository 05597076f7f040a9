#include "client/docker/confirm.h"

#include <iostream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/commands/listing.h"

namespace berth::client {

bool Confirm(absl::string_view warning, Confirmation mode) {
  if (mode == Confirmation::kForced) return true;
  PrintText(absl::StrCat("WARNING! ", warning, "\nAre you sure you want to continue? [y/N] "));
  std::string answer;
  std::getline(std::cin, answer);
  answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(answer));
  return answer == "y" || answer == "yes";
}

}  // namespace berth::client
