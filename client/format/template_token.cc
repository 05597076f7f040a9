#include "client/format/template_token.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

constexpr absl::string_view kSpaces = " \t\r\n";

bool IsWordByte(char c) {
  return absl::ascii_isalnum(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

void AppendUtf8(std::string& out, uint32_t rune) {
  if (rune < 0x80) {
    out.push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out.push_back(static_cast<char>(0xc0 | (rune >> 6)));
    out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else if (rune < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | (rune >> 12)));
    out.push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | (rune >> 18)));
    out.push_back(static_cast<char>(0x80 | ((rune >> 12) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  }
}

class Lexer {
 public:
  explicit Lexer(absl::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<Token>> Run() {
    bool trims_next = false;
    while (true) {
      const size_t open = source_.find("{{", at_);
      const bool is_last = open == absl::string_view::npos;
      const size_t end = is_last ? source_.size() : open;
      absl::string_view text = source_.substr(at_, end - at_);
      if (trims_next) text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
      if (!is_last && TrimsBefore(open)) {
        const size_t last = text.find_last_not_of(kSpaces);
        text = text.substr(0, last == absl::string_view::npos ? 0 : last + 1);
      }
      if (!text.empty()) Add(TokenKind::kText, std::string(text), at_);
      if (is_last) break;
      at_ = open + 2 + (TrimsBefore(open) ? 1 : 0);
      BERTH_ASSIGN_OR_RETURN(trims_next, LexAction(open));
    }
    Add(TokenKind::kEnd, "", source_.size());
    return std::move(tokens_);
  }

 private:
  // "{{- " with a space after the dash; "{{-1}}" is a number.
  bool TrimsBefore(size_t open) const {
    return open + 3 < source_.size() && source_[open + 2] == '-' &&
           absl::StrContains(kSpaces, source_.substr(open + 3, 1));
  }

  void Add(TokenKind kind, std::string text, size_t offset) {
    tokens_.push_back({kind, std::move(text), offset, follows_space_});
    follows_space_ = false;
  }

  absl::Status Fail(size_t offset, absl::string_view what) const {
    return TemplateError(source_, offset, what);
  }

  // Where this action ends: {trims the text after it, bytes of the mark}; {_, 0}: not here.
  std::pair<bool, size_t> CloseAt(size_t at) const {
    if (absl::StartsWith(source_.substr(at), "}}")) return {false, 2};
    if (at > 0 && absl::StrContains(kSpaces, source_.substr(at - 1, 1)) &&
        absl::StartsWith(source_.substr(at), "-}}")) {
      return {true, 3};
    }
    return {false, 0};
  }

  // Answers whether the text after the action is trimmed.
  absl::StatusOr<bool> LexAction(size_t open) {
    SkipSpace();
    if (absl::StartsWith(source_.substr(at_), "/*")) return SkipComment(open);
    follows_space_ = false;
    Add(TokenKind::kOpen, "{{", open);
    while (true) {
      SkipSpace();
      if (at_ >= source_.size()) return Fail(open, "this {{ has no }}");
      if (const auto [trims, length] = CloseAt(at_); length != 0) {
        Add(TokenKind::kClose, "}}", at_);
        at_ += length;
        return trims;
      }
      BERTH_RETURN_IF_ERROR(LexToken());
    }
  }

  absl::StatusOr<bool> SkipComment(size_t open) {
    const size_t end = source_.find("*/", at_ + 2);
    if (end == absl::string_view::npos) return Fail(open, "this comment has no */");
    at_ = end + 2;
    SkipSpace();
    const auto [trims, length] = CloseAt(at_);
    if (length == 0) return Fail(at_, "a comment stands alone in its {{ }}");
    at_ += length;
    return trims;
  }

  void SkipSpace() {
    while (at_ < source_.size() && absl::StrContains(kSpaces, source_.substr(at_, 1))) {
      ++at_;
      follows_space_ = true;
    }
  }

  std::string TakeWord() {
    const size_t begin = at_;
    while (at_ < source_.size() && IsWordByte(source_[at_])) ++at_;
    return std::string(source_.substr(begin, at_ - begin));
  }

  absl::Status LexToken() {
    const size_t begin = at_;
    const char c = source_[at_];
    const char next = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
    if (c == '"') return LexString();
    if (c == '`') return LexRawString();
    if (c == '\'') return LexCharacter();
    if (absl::ascii_isdigit(c) ||
        ((c == '-' || c == '+') && (absl::ascii_isdigit(next) || next == '.')) ||
        (c == '.' && absl::ascii_isdigit(next))) {
      return LexNumber();
    }
    if (IsWordByte(c)) {
      Add(TokenKind::kIdentifier, TakeWord(), begin);
      return absl::OkStatus();
    }
    ++at_;
    switch (c) {
      case '.':
        if (IsWordByte(next)) {
          Add(TokenKind::kField, TakeWord(), begin);
        } else {
          Add(TokenKind::kDot, ".", begin);
        }
        return absl::OkStatus();
      case '$':
        Add(TokenKind::kVariable, TakeWord(), begin);
        return absl::OkStatus();
      case '|':
        Add(TokenKind::kPipe, "|", begin);
        return absl::OkStatus();
      case ',':
        Add(TokenKind::kComma, ",", begin);
        return absl::OkStatus();
      case '(':
        Add(TokenKind::kLeftParen, "(", begin);
        return absl::OkStatus();
      case ')':
        Add(TokenKind::kRightParen, ")", begin);
        return absl::OkStatus();
      case '=':
        Add(TokenKind::kAssign, "=", begin);
        return absl::OkStatus();
      case ':':
        if (next == '=') {
          ++at_;
          Add(TokenKind::kDeclare, ":=", begin);
          return absl::OkStatus();
        }
        break;
      default:
        break;
    }
    return Fail(begin, absl::StrCat("\"", source_.substr(begin, 1), "\" has no meaning here"));
  }

  absl::Status LexNumber() {
    const size_t begin = at_++;
    while (at_ < source_.size() &&
           (absl::ascii_isalnum(source_[at_]) || source_[at_] == '.' || source_[at_] == '_' ||
            ((source_[at_] == '-' || source_[at_] == '+') &&
             absl::StrContains("eE", source_.substr(at_ - 1, 1))))) {
      ++at_;
    }
    Add(TokenKind::kNumber, std::string(source_.substr(begin, at_ - begin)), begin);
    return absl::OkStatus();
  }

  absl::Status LexRawString() {
    const size_t begin = at_;
    const size_t end = source_.find('`', begin + 1);
    if (end == absl::string_view::npos) return Fail(begin, "this ` has no second one");
    at_ = end + 1;
    Add(TokenKind::kString, std::string(source_.substr(begin + 1, end - begin - 1)), begin);
    return absl::OkStatus();
  }

  absl::Status LexString() {
    const size_t begin = at_++;
    std::string text;
    while (at_ < source_.size() && source_[at_] != '"') {
      if (source_[at_] == '\n') return Fail(begin, "this string does not end in its line");
      BERTH_RETURN_IF_ERROR(TakeCharacter(text));
    }
    if (at_ >= source_.size()) return Fail(begin, "this string has no second quote");
    ++at_;
    Add(TokenKind::kString, std::move(text), begin);
    return absl::OkStatus();
  }

  // A character is its number.
  absl::Status LexCharacter() {
    const size_t begin = at_++;
    std::string text;
    if (at_ < source_.size() && source_[at_] != '\'') {
      BERTH_RETURN_IF_ERROR(TakeCharacter(text));
    }
    if (text.size() != 1 || at_ >= source_.size() || source_[at_] != '\'') {
      return Fail(begin, "expected one character in ' ', such as 'x'");
    }
    ++at_;
    Add(TokenKind::kNumber, absl::StrCat(static_cast<int>(static_cast<unsigned char>(text[0]))),
        begin);
    return absl::OkStatus();
  }

  // One byte, or one escape.
  absl::Status TakeCharacter(std::string& out) {
    const char c = source_[at_++];
    if (c != '\\') {
      out.push_back(c);
      return absl::OkStatus();
    }
    const size_t begin = at_ - 1;
    const char kind = at_ < source_.size() ? source_[at_++] : '\0';
    constexpr absl::string_view kKinds = "abfnrtv\\'\"";
    constexpr absl::string_view kBytes = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t found = kKinds.find(kind); found != absl::string_view::npos && kind != '\0') {
      out.push_back(kBytes[found]);
      return absl::OkStatus();
    }
    const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    uint32_t value = 0;
    const absl::string_view number = at_ <= source_.size() ? source_.substr(at_, digits) : "";
    const bool is_number =
        digits != 0 && number.size() == digits &&
        std::all_of(number.begin(), number.end(), [](char d) { return absl::ascii_isxdigit(d); }) &&
        absl::SimpleHexAtoi(number, &value);
    if (!is_number || value > 0x10ffff) {
      return Fail(begin, "this escape is not known (\\n \\t \\\" \\\\ \\x41 \\u00e9 are)");
    }
    at_ += digits;
    if (kind == 'x') {
      out.push_back(static_cast<char>(value));
    } else {
      AppendUtf8(out, value);
    }
    return absl::OkStatus();
  }

  const absl::string_view source_;
  size_t at_ = 0;
  bool follows_space_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source) {
  return Lexer(source).Run();
}

absl::Status TemplateError(absl::string_view source, size_t offset, absl::string_view what) {
  const absl::string_view before = source.substr(0, std::min(offset, source.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t newline = before.rfind('\n');
  const size_t column = before.size() - (newline == absl::string_view::npos ? 0 : newline + 1) + 1;
  return absl::InvalidArgumentError(
      line == 1 ? absl::StrCat("template, column ", column, ": ", what)
                : absl::StrCat("template, line ", line, ", column ", column, ": ", what));
}

}  // namespace berth::client
