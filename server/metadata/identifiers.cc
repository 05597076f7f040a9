#include "server/metadata/identifiers.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace berth::metadata {
namespace {

constexpr size_t kIdentifierLimit = 76;

bool IsWellFormed(absl::string_view identifier) {
  bool joined = true;  // the character before the first one
  for (const char c : identifier) {
    const bool joins = c == '.' || c == '_' || c == '-';
    if (joins ? joined : !absl::ascii_isalnum(static_cast<unsigned char>(c))) return false;
    joined = joins;
  }
  return !joined;
}

}  // namespace

absl::Status ValidateIdentifier(absl::string_view identifier) {
  if (identifier.empty()) return absl::InvalidArgumentError("identifier must not be empty");
  if (identifier.size() > kIdentifierLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat("identifier \"", absl::CHexEscape(identifier.substr(0, kIdentifierLimit)),
                     "...\" greater than maximum length (", kIdentifierLimit, " characters)"));
  }
  if (!IsWellFormed(identifier)) {
    return absl::InvalidArgumentError(
        absl::StrCat("identifier \"", absl::CHexEscape(identifier),
                     "\" must be letters and digits joined by single '.', '_' or '-'"));
  }
  return absl::OkStatus();
}

}  // namespace berth::metadata
