// The words of a template: text, and the tokens of what stands in {{ }}. Trim markers and comments
// are done here. Immutable values, pure function.
#ifndef BERTH_CLIENT_FORMAT_TEMPLATE_TOKEN_H_
#define BERTH_CLIENT_FORMAT_TEMPLATE_TOKEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

enum class TokenKind {
  kText,        // outside of {{ }}
  kOpen,        // {{
  kClose,       // }}
  kDot,         // .
  kField,       // .Name (text: Name)
  kVariable,    // $ or $name (text: name)
  kIdentifier,  // a keyword or a function
  kString,      // text: without quotes and escapes
  kNumber,      // text: as written
  kPipe,
  kComma,
  kLeftParen,
  kRightParen,
  kAssign,   // =
  kDeclare,  // :=
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  size_t offset = 0;
  bool follows_space = false;  // ".A .B" are two words, ".A.B" is one
};

// The last token is kEnd. Errors: INVALID_ARGUMENT with the position.
absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source);

// INVALID_ARGUMENT: "template, line 1, column 5: what".
absl::Status TemplateError(absl::string_view source, size_t offset, absl::string_view what);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_TEMPLATE_TOKEN_H_
