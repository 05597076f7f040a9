#include "client/format/template_tree.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status/status_macros.h"
#include "client/format/template_function.h"
#include "client/format/template_token.h"

namespace berth::client {
namespace {

// What ended a list of nodes.
enum class BlockEnd { kTemplate, kEnd, kElse };

class Parser {
 public:
  Parser(absl::string_view source, std::vector<Token> tokens)
      : source_(source), tokens_(std::move(tokens)) {}

  absl::StatusOr<std::vector<TemplateNode>> Run() {
    std::vector<TemplateNode> nodes;
    BERTH_ASSIGN_OR_RETURN(const BlockEnd end, ParseNodes(nodes));
    if (end != BlockEnd::kTemplate) {
      return Fail(last_keyword_, end == BlockEnd::kEnd
                                     ? "{{end}} without an {{if}}, {{range}} or {{with}}"
                                     : "{{else}} without an {{if}}, {{range}} or {{with}}");
    }
    return nodes;
  }

 private:
  const Token& Peek() const { return tokens_[at_]; }
  Token Take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool Is(TokenKind kind) const { return Peek().kind == kind; }
  bool IsWord(absl::string_view word) const {
    return Is(TokenKind::kIdentifier) && Peek().text == word;
  }
  absl::Status Fail(size_t offset, absl::string_view what) const {
    return TemplateError(source_, offset, what);
  }

  absl::Status Descend(size_t offset) {
    if (++depth_ > kMaxTemplateDepth) return Fail(offset, "nested too deeply");
    return absl::OkStatus();
  }

  absl::StatusOr<BlockEnd> ParseNodes(std::vector<TemplateNode>& nodes) {
    while (true) {
      if (Is(TokenKind::kEnd)) return BlockEnd::kTemplate;
      if (Is(TokenKind::kText)) {
        TemplateNode node;
        node.text = Take().text;
        nodes.push_back(std::move(node));
        continue;
      }
      const size_t offset = Take().offset;  // {{
      if (IsWord("end") || IsWord("else")) {
        last_keyword_ = offset;
        const bool is_end = Take().text == "end";
        if (is_end) {
          BERTH_RETURN_IF_ERROR(Close());
        }
        return is_end ? BlockEnd::kEnd : BlockEnd::kElse;
      }
      BERTH_ASSIGN_OR_RETURN(TemplateNode node, ParseAction(offset));
      nodes.push_back(std::move(node));
    }
  }

  absl::Status Close() {
    if (Is(TokenKind::kClose)) {
      Take();
      return absl::OkStatus();
    }
    return Fail(Peek().offset, absl::StrCat("\"", Peek().text, "\" was not expected here"));
  }

  absl::StatusOr<TemplateNode> ParseAction(size_t offset) {
    TemplateNode node;
    node.offset = offset;
    if (IsWord("if") || IsWord("range") || IsWord("with")) {
      const std::string word = Take().text;
      node.kind = word == "if"      ? TemplateNode::Kind::kIf
                  : word == "range" ? TemplateNode::Kind::kRange
                                    : TemplateNode::Kind::kWith;
      BERTH_RETURN_IF_ERROR(ParseBlock(node));
      return node;
    }
    if (IsWord("break") || IsWord("continue")) {
      const std::string word = Take().text;
      if (range_depth_ == 0)
        return Fail(offset, absl::StrCat("{{", word, "}} outside a {{range}}"));
      node.kind = word == "break" ? TemplateNode::Kind::kBreak : TemplateNode::Kind::kContinue;
      BERTH_RETURN_IF_ERROR(Close());
      return node;
    }
    for (const absl::string_view word : {"define", "template", "block"}) {
      if (IsWord(word)) {
        return Fail(Peek().offset, absl::StrCat("{{", word,
                                                "}} is not supported: a format is one "
                                                "template"));
      }
    }
    node.kind = TemplateNode::Kind::kOutput;
    BERTH_ASSIGN_OR_RETURN(node.pipeline, ParsePipeline(TokenKind::kClose));
    BERTH_RETURN_IF_ERROR(Close());
    return node;
  }

  // After "if", "range" or "with", up to its {{end}}.
  absl::Status ParseBlock(TemplateNode& node) {
    BERTH_RETURN_IF_ERROR(Descend(node.offset));
    const size_t known_variables = variables_.size();
    const bool is_range = node.kind == TemplateNode::Kind::kRange;
    BERTH_ASSIGN_OR_RETURN(node.pipeline, ParsePipeline(TokenKind::kClose, is_range ? 2 : 1));
    BERTH_RETURN_IF_ERROR(Close());
    range_depth_ += is_range ? 1 : 0;
    BERTH_ASSIGN_OR_RETURN(BlockEnd end, ParseNodes(node.body));
    range_depth_ -= is_range ? 1 : 0;
    if (end == BlockEnd::kElse) {
      BERTH_ASSIGN_OR_RETURN(end, ParseElse(node));
    }
    if (end != BlockEnd::kEnd) {
      return Fail(node.offset, end == BlockEnd::kElse ? "this block has two {{else}}"
                                                      : "this block has no {{end}}");
    }
    variables_.resize(known_variables);
    --depth_;
    return absl::OkStatus();
  }

  absl::StatusOr<BlockEnd> ParseElse(TemplateNode& node) {
    if (IsWord("if") || IsWord("with")) {
      // "{{else if x}}...{{end}}" has one end for both.
      BERTH_ASSIGN_OR_RETURN(TemplateNode nested, ParseAction(Peek().offset));
      node.otherwise.push_back(std::move(nested));
      return BlockEnd::kEnd;
    }
    BERTH_RETURN_IF_ERROR(Close());
    return ParseNodes(node.otherwise);
  }

  absl::StatusOr<Pipeline> ParsePipeline(TokenKind closer, size_t max_variables = 1) {
    Pipeline pipeline;
    pipeline.offset = Peek().offset;
    BERTH_RETURN_IF_ERROR(ParseVariables(pipeline, max_variables));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(Invocation invocation, ParseInvocation(closer));
      if (!pipeline.invocations.empty() && invocation.words[0].kind != Term::Kind::kFunction &&
          invocation.words[0].fields.empty()) {
        return Fail(invocation.words[0].offset, "after | a function is expected");
      }
      pipeline.invocations.push_back(std::move(invocation));
      if (!Is(TokenKind::kPipe)) break;
      Take();
    }
    // Known from here on only: "{{$x := $x}}" needs an older $x.
    if (pipeline.declares) {
      variables_.insert(variables_.end(), pipeline.variables.begin(), pipeline.variables.end());
    }
    return pipeline;
  }

  // "$v :=", "$k, $v :=", "$v ="; nothing when the variable is only used.
  absl::Status ParseVariables(Pipeline& pipeline, size_t max_variables) {
    size_t ahead = at_;
    std::vector<std::string> names;
    while (tokens_[ahead].kind == TokenKind::kVariable) {
      names.push_back(tokens_[ahead++].text);
      if (tokens_[ahead].kind != TokenKind::kComma) break;
      ++ahead;
    }
    const TokenKind kind = tokens_[ahead].kind;
    if (names.empty() || (kind != TokenKind::kDeclare && kind != TokenKind::kAssign)) {
      return absl::OkStatus();
    }
    if (names.size() > max_variables) return Fail(Peek().offset, "too many variables");
    for (const std::string& name : names) {
      if (name.empty()) return Fail(Peek().offset, "$ itself cannot be set");
      if (kind == TokenKind::kAssign) {
        BERTH_RETURN_IF_ERROR(CheckVariable(name, Peek().offset));
      }
    }
    pipeline.variables = std::move(names);
    pipeline.declares = kind == TokenKind::kDeclare;
    at_ = ahead + 1;
    return absl::OkStatus();
  }

  absl::Status CheckVariable(const std::string& name, size_t offset) const {
    if (name.empty()) return absl::OkStatus();  // $
    for (const std::string& known : variables_) {
      if (known == name) return absl::OkStatus();
    }
    return Fail(offset, absl::StrCat("$", name, " was never set; {{$", name, " := ...}} sets it"));
  }

  absl::StatusOr<Invocation> ParseInvocation(TokenKind closer) {
    Invocation invocation;
    while (!Is(TokenKind::kPipe) && !Is(closer)) {
      BERTH_ASSIGN_OR_RETURN(Term term, ParseTerm());
      if (!invocation.words.empty() && term.kind == Term::Kind::kFunction && term.fields.empty() &&
          NeedsArguments(term.name)) {
        return Fail(term.offset, absl::StrCat("\"", term.name,
                                              "\" needs arguments; put the call "
                                              "in parentheses"));
      }
      invocation.words.push_back(std::move(term));
    }
    if (invocation.words.empty()) return Fail(Peek().offset, "a value is missing here");
    const Term& first = invocation.words[0];
    if (invocation.words.size() > 1 && first.kind != Term::Kind::kFunction &&
        first.fields.empty()) {
      return Fail(invocation.words[1].offset, "only a function takes arguments");
    }
    return invocation;
  }

  absl::StatusOr<Term> ParseTerm() {
    const Token token = Take();
    Term term;
    term.offset = token.offset;
    switch (token.kind) {
      case TokenKind::kDot:
        break;
      case TokenKind::kField:
        term.fields.push_back(token.text);
        break;
      case TokenKind::kVariable:
        BERTH_RETURN_IF_ERROR(CheckVariable(token.text, token.offset));
        term.kind = Term::Kind::kVariable;
        term.name = token.text;
        break;
      case TokenKind::kString:
        term.kind = Term::Kind::kLiteral;
        term.literal = token.text;
        break;
      case TokenKind::kNumber:
        BERTH_RETURN_IF_ERROR(ParseNumber(token, term));
        break;
      case TokenKind::kIdentifier:
        BERTH_RETURN_IF_ERROR(ParseIdentifier(token, term));
        break;
      case TokenKind::kLeftParen: {
        BERTH_RETURN_IF_ERROR(Descend(token.offset));
        BERTH_ASSIGN_OR_RETURN(Pipeline inner, ParsePipeline(TokenKind::kRightParen, 0));
        if (!Is(TokenKind::kRightParen)) return Fail(token.offset, "this ( has no )");
        Take();
        --depth_;
        term.kind = Term::Kind::kPipeline;
        term.pipeline = std::make_shared<const Pipeline>(std::move(inner));
        break;
      }
      default:
        return Fail(token.offset, token.kind == TokenKind::kClose
                                      ? "the action ends too early"
                                      : absl::StrCat("\"", token.text, "\" was not expected here"));
    }
    while (Is(TokenKind::kField) && !Peek().follows_space) term.fields.push_back(Take().text);
    return term;
  }

  absl::Status ParseIdentifier(const Token& token, Term& term) {
    term.kind = Term::Kind::kLiteral;
    if (token.text == "true" || token.text == "false") {
      term.literal = token.text == "true";
    } else if (token.text == "nil") {
      term.literal = nullptr;
    } else if (FindFunction(token.text) != nullptr || IsLazyFunction(token.text)) {
      term.kind = Term::Kind::kFunction;
      term.name = token.text;
    } else {
      return Fail(token.offset, absl::StrCat("function \"", token.text,
                                             "\" is not known (known: ", FunctionNames(),
                                             "); a field is written .", token.text));
    }
    return absl::OkStatus();
  }

  absl::Status ParseNumber(const Token& token, Term& term) {
    term.kind = Term::Kind::kLiteral;
    const std::string digits = absl::StrReplaceAll(token.text, {{"_", ""}});
    int64_t integer = 0;
    double real = 0;
    if (absl::SimpleAtoi(digits, &integer)) {
      term.literal = integer;
    } else if (absl::StartsWith(digits, "0x") && absl::SimpleHexAtoi(digits, &integer)) {
      term.literal = integer;
    } else if (absl::SimpleAtod(digits, &real)) {
      term.literal = real;
    } else {
      return Fail(token.offset, absl::StrCat("\"", token.text, "\" is no number"));
    }
    return absl::OkStatus();
  }

  const absl::string_view source_;
  const std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int range_depth_ = 0;
  size_t last_keyword_ = 0;
  std::vector<std::string> variables_;
};

}  // namespace

absl::StatusOr<std::vector<TemplateNode>> ParseTemplate(absl::string_view source) {
  BERTH_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return Parser(source, std::move(tokens)).Run();
}

}  // namespace berth::client
