// Splits a filter expression into tokens. Thread-compatible; lives on the parser's stack.
#ifndef BERTH_SERVER_FILTER_LEXER_H_
#define BERTH_SERVER_FILTER_LEXER_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::filter_internal {

enum class TokenKind { kEnd, kName, kValue, kQuoted, kOperator, kComma, kDot, kOther };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t position = 0;  // of its first byte in the expression
  char quote = 0;       // kQuoted: '"', '/' or '|'
  std::string text;     // kQuoted: with its escapes resolved
};

class Lexer {
 public:
  explicit Lexer(absl::string_view input) : input_(input) {}

  // Errors: INVALID_ARGUMENT for an unterminated quotation, an illegal escape, a zero byte or bytes
  // that are not UTF-8.
  absl::StatusOr<Token> Next();
  // The next token's kind, were it read now.
  absl::StatusOr<TokenKind> Peek();
  absl::Status ErrorAt(size_t position, absl::string_view message) const;

 private:
  absl::StatusOr<Token> Quoted(size_t start);
  absl::Status Escape(char quote, std::string& text);
  absl::StatusOr<uint32_t> Digits(size_t count, int base);
  absl::StatusOr<Token> Value(size_t start);

  const absl::string_view input_;
  size_t position_ = 0;
  bool value_expected_ = false;  // after an operator more characters are allowed than in a name
};

}  // namespace berth::filter_internal

#endif  // BERTH_SERVER_FILTER_LEXER_H_
