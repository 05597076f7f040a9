#include "server/filter/lexer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/filter/utf8.h"

namespace berth::filter_internal {
namespace {

// Errors repeat the expression; a hostile one may be megabytes long.
constexpr size_t kShownBytes = 200;

bool IsNameCharacter(uint32_t c) {
  return c < 0x80 && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_');
}
bool IsOperatorCharacter(uint32_t c) { return c == '=' || c == '!' || c == '~'; }
bool IsValueCharacter(uint32_t c) { return c != ',' && !IsSpace(c) && !IsControl(c); }

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 16;
}

}  // namespace

absl::Status Lexer::ErrorAt(size_t position, absl::string_view message) const {
  const absl::string_view shown = input_.substr(0, kShownBytes);
  const std::string where =
      position >= input_.size() ? std::string("at its end") : absl::StrCat("at byte ", position);
  return absl::InvalidArgumentError(absl::StrCat("filter [", absl::CHexEscape(shown),
                                                 shown.size() < input_.size() ? "..." : "",
                                                 "]: ", message, " ", where));
}

absl::StatusOr<TokenKind> Lexer::Peek() {
  const size_t position = position_;
  const bool value_expected = value_expected_;
  BERTH_ASSIGN_OR_RETURN(const Token token, Next());
  position_ = position;
  value_expected_ = value_expected;
  return token.kind;
}

absl::StatusOr<Token> Lexer::Next() {
  uint32_t character = 0;
  while (true) {
    if (position_ >= input_.size()) return Token{TokenKind::kEnd, position_, 0, ""};
    const size_t length = DecodeUtf8(input_.substr(position_), character);
    if (length == 0) return ErrorAt(position_, "bytes that are not UTF-8");
    if (character == 0) return ErrorAt(position_, "unexpected zero byte");
    if (!IsSpace(character)) break;
    position_ += length;
  }
  const size_t start = position_;
  switch (character) {
    case '"':
    case '/':
    case '|':
      return Quoted(start);
    case ',':
    case '.':
      ++position_;
      value_expected_ = false;
      return Token{character == ',' ? TokenKind::kComma : TokenKind::kDot, start, 0, ""};
    default:
      break;
  }
  const auto take_while = [&](bool (*accepts)(uint32_t)) {
    while (position_ < input_.size() && accepts(static_cast<unsigned char>(input_[position_]))) {
      ++position_;
    }
    return std::string(input_.substr(start, position_ - start));
  };
  if (IsOperatorCharacter(character)) {
    value_expected_ = true;
    return Token{TokenKind::kOperator, start, 0, take_while(IsOperatorCharacter)};
  }
  if (value_expected_) return Value(start);
  if (IsNameCharacter(character)) {
    return Token{TokenKind::kName, start, 0, take_while(IsNameCharacter)};
  }
  return Token{TokenKind::kOther, start, 0, ""};
}

absl::StatusOr<Token> Lexer::Value(size_t start) {
  value_expected_ = false;
  while (position_ < input_.size()) {
    uint32_t character = 0;
    const size_t length = DecodeUtf8(input_.substr(position_), character);
    if (length == 0) return ErrorAt(position_, "bytes that are not UTF-8");
    if (!IsValueCharacter(character)) break;
    position_ += length;
  }
  if (position_ == start) return Token{TokenKind::kOther, start, 0, ""};
  return Token{TokenKind::kValue, start, 0, std::string(input_.substr(start, position_ - start))};
}

absl::StatusOr<Token> Lexer::Quoted(size_t start) {
  const char quote = input_[start];
  Token token{TokenKind::kQuoted, start, quote, ""};
  position_ = start + 1;
  while (true) {
    uint32_t character = 0;
    if (position_ >= input_.size()) return ErrorAt(start, "quotation without an end");
    const size_t length = DecodeUtf8(input_.substr(position_), character);
    if (length == 0) return ErrorAt(position_, "bytes that are not UTF-8");
    if (character == 0) return ErrorAt(position_, "unexpected zero byte");
    if (character == '\n') return ErrorAt(start, "quotation without an end");
    if (character == static_cast<unsigned char>(quote)) {
      ++position_;
      return token;
    }
    if (character == '\\') {
      ++position_;
      BERTH_RETURN_IF_ERROR(Escape(quote, token.text));
      continue;
    }
    token.text.append(input_.data() + position_, length);
    position_ += length;
  }
}

// After the backslash: Go's string escapes, and the quotation mark itself.
absl::Status Lexer::Escape(char quote, std::string& text) {
  const size_t backslash = position_ - 1;
  if (position_ >= input_.size()) return ErrorAt(backslash, "quotation without an end");
  const char kind = input_[position_++];
  constexpr absl::string_view kNames = "abfnrtv\\";
  constexpr absl::string_view kMeanings = "\a\b\f\n\r\t\v\\";
  const size_t simple = kNames.find(kind);
  if (simple != absl::string_view::npos) {
    text.push_back(kMeanings[simple]);
    return absl::OkStatus();
  }
  if (kind == quote) {
    text.push_back(quote);
    return absl::OkStatus();
  }
  if (kind >= '0' && kind <= '7') {
    --position_;
    BERTH_ASSIGN_OR_RETURN(const uint32_t value, Digits(3, 8));
    if (value > 0xff) return ErrorAt(backslash, "escape beyond one byte");
    text.push_back(static_cast<char>(value));
    return absl::OkStatus();
  }
  if (kind == 'x') {
    BERTH_ASSIGN_OR_RETURN(const uint32_t value, Digits(2, 16));
    text.push_back(static_cast<char>(value));
    return absl::OkStatus();
  }
  if (kind == 'u' || kind == 'U') {
    BERTH_ASSIGN_OR_RETURN(const uint32_t value, Digits(kind == 'u' ? 4 : 8, 16));
    if (value > 0x10ffff) return ErrorAt(backslash, "escape beyond U+10FFFF");
    // Lone surrogates have no UTF-8 form; Go writes the replacement character.
    AppendUtf8(value >= 0xd800 && value <= 0xdfff ? 0xfffd : value, text);
    return absl::OkStatus();
  }
  return ErrorAt(backslash, "unknown escape");
}

absl::StatusOr<uint32_t> Lexer::Digits(size_t count, int base) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i, ++position_) {
    const int digit = position_ < input_.size() ? DigitValue(input_[position_]) : 16;
    if (digit >= base) return ErrorAt(position_, "malformed numeric escape");
    value = value * base + digit;
  }
  return value;
}

}  // namespace berth::filter_internal
