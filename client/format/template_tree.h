// A template as a tree, and its parser. Immutable once parsed; owned by the Template.
//
// Invariant: blocks and parentheses nest at most kMaxTemplateDepth deep, so that whoever walks the
// tree may recurse.
#ifndef BERTH_CLIENT_FORMAT_TEMPLATE_TREE_H_
#define BERTH_CLIENT_FORMAT_TEMPLATE_TREE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/json_access.h"

namespace berth::client {

inline constexpr int kMaxTemplateDepth = 64;

struct Pipeline;

// One word of an invocation: a value, then the fields taken from it.
struct Term {
  enum class Kind { kLiteral, kDot, kVariable, kFunction, kPipeline };
  Kind kind = Kind::kDot;
  Json literal;
  std::string name;                          // of the variable or function
  std::shared_ptr<const Pipeline> pipeline;  // in parentheses
  std::vector<std::string> fields;
  size_t offset = 0;
};

// "function argument...", or one value.
struct Invocation {
  std::vector<Term> words;
};

// "$v := first | second".
struct Pipeline {
  std::vector<std::string> variables;
  bool declares = false;  // := instead of =
  std::vector<Invocation> invocations;
  size_t offset = 0;
};

struct TemplateNode {
  enum class Kind { kText, kOutput, kIf, kRange, kWith, kBreak, kContinue };
  Kind kind = Kind::kText;
  std::string text;
  Pipeline pipeline;
  std::vector<TemplateNode> body;
  std::vector<TemplateNode> otherwise;
  size_t offset = 0;
};

// Errors: INVALID_ARGUMENT with the position.
absl::StatusOr<std::vector<TemplateNode>> ParseTemplate(absl::string_view source);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_TEMPLATE_TREE_H_
