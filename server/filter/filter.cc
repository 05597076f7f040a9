#include "server/filter/filter.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/filter/lexer.h"

namespace berth {

using filter_internal::Lexer;
using filter_internal::Token;
using filter_internal::TokenKind;

namespace {

enum class Operator { kPresent, kEqual, kNotEqual, kMatches };

}  // namespace

struct Filter::Selector {
  std::vector<std::string> path;
  Operator op = Operator::kPresent;
  std::string value;
  std::shared_ptr<const RE2> pattern;  // kMatches; null where RE2 refused it

  bool Holds(FieldLookup lookup) const {
    const std::optional<std::string> field = lookup(path);
    switch (op) {
      case Operator::kPresent:
        return field.has_value();
      case Operator::kEqual:
        return field.has_value() && *field == value;
      case Operator::kNotEqual:
        return field.value_or("") != value;
      case Operator::kMatches:
        return pattern != nullptr && RE2::PartialMatch(field.value_or(""), *pattern);
    }
    return false;
  }
};

namespace {

absl::StatusOr<std::string> ParseName(Lexer& lexer) {
  BERTH_ASSIGN_OR_RETURN(Token token, lexer.Next());
  if (token.kind == TokenKind::kName) return std::move(token.text);
  if (token.kind == TokenKind::kQuoted) {
    if (token.quote == '"') return std::move(token.text);
    return lexer.ErrorAt(token.position, "only \"...\" may quote a field name");
  }
  return lexer.ErrorAt(token.position, "expected a field name");
}

absl::StatusOr<Operator> ParseOperator(Lexer& lexer) {
  BERTH_ASSIGN_OR_RETURN(const Token token, lexer.Next());
  if (token.kind == TokenKind::kOperator) {
    if (token.text == "==") return Operator::kEqual;
    if (token.text == "!=") return Operator::kNotEqual;
    if (token.text == "~=") return Operator::kMatches;
    return lexer.ErrorAt(token.position, absl::StrCat("unsupported operator ", token.text));
  }
  return lexer.ErrorAt(token.position, "expected ==, != or ~=");
}

absl::StatusOr<std::string> ParseValue(Lexer& lexer, Operator op) {
  BERTH_ASSIGN_OR_RETURN(Token token, lexer.Next());
  if (token.kind == TokenKind::kValue) return std::move(token.text);
  if (token.kind == TokenKind::kQuoted) {
    if (token.quote == '"' || op == Operator::kMatches) return std::move(token.text);
    return lexer.ErrorAt(token.position, "only \"...\" may quote a value here");
  }
  return lexer.ErrorAt(token.position, "expected a value");
}

std::shared_ptr<const RE2> CompilePattern(const std::string& text) {
  RE2::Options options;
  options.set_log_errors(false);
  auto pattern = std::make_shared<const RE2>(text, options);
  return pattern->ok() ? pattern : nullptr;
}

absl::StatusOr<Filter::Selector> ParseSelector(Lexer& lexer) {
  Filter::Selector selector;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(std::string name, ParseName(lexer));
    selector.path.push_back(std::move(name));
    BERTH_ASSIGN_OR_RETURN(const TokenKind next, lexer.Peek());
    if (next != TokenKind::kDot) {
      if (next == TokenKind::kComma || next == TokenKind::kEnd) return selector;
      break;
    }
    BERTH_RETURN_IF_ERROR(lexer.Next());
  }
  BERTH_ASSIGN_OR_RETURN(selector.op, ParseOperator(lexer));
  BERTH_ASSIGN_OR_RETURN(selector.value, ParseValue(lexer, selector.op));
  if (selector.op == Operator::kMatches) selector.pattern = CompilePattern(selector.value);
  return selector;
}

absl::StatusOr<std::vector<Filter::Selector>> ParseExpression(absl::string_view expression) {
  std::vector<Filter::Selector> selectors;
  if (expression.empty()) return selectors;
  Lexer lexer(expression);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(Filter::Selector selector, ParseSelector(lexer));
    selectors.push_back(std::move(selector));
    BERTH_ASSIGN_OR_RETURN(const Token token, lexer.Next());
    if (token.kind == TokenKind::kEnd) return selectors;
    if (token.kind != TokenKind::kComma) {
      return lexer.ErrorAt(token.position, "expected ',' or the end");
    }
  }
}

}  // namespace

absl::StatusOr<Filter> Filter::Compile(absl::Span<const std::string> expressions) {
  auto parsed = std::make_shared<Expressions>();
  for (const std::string& expression : expressions) {
    BERTH_ASSIGN_OR_RETURN(std::vector<Selector> selectors, ParseExpression(expression));
    parsed->push_back(std::move(selectors));
  }
  Filter filter;
  if (!parsed->empty()) filter.expressions_ = std::move(parsed);
  return filter;
}

absl::StatusOr<Filter> Filter::Compile(absl::string_view expression) {
  const std::string copy(expression);
  return Compile(absl::MakeConstSpan(&copy, 1));
}

bool Filter::Matches(FieldLookup lookup) const {
  if (expressions_ == nullptr) return true;
  return std::any_of(expressions_->begin(), expressions_->end(), [&](const auto& selectors) {
    return std::all_of(selectors.begin(), selectors.end(),
                       [&](const Selector& selector) { return selector.Holds(lookup); });
  });
}

}  // namespace berth
