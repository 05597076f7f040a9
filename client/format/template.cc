#include "client/format/template.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/format/template_function.h"
#include "client/format/template_token.h"

namespace berth::client {
namespace {

constexpr int64_t kMaxSteps = 500'000;  // of one row or document
constexpr size_t kMaxOutputBytes = size_t{64} << 20;

class Execution {
 public:
  Execution(absl::string_view source, const TemplateMethods& methods, const Json& document)
      : source_(source), methods_(methods), document_(document) {}

  absl::StatusOr<std::string> Run(const std::vector<TemplateNode>& nodes) {
    BERTH_RETURN_IF_ERROR(RunNodes(nodes, document_).status());
    return std::move(output_);
  }

 private:
  enum class Flow { kNext, kBreak, kContinue };

  absl::Status Fail(size_t offset, const absl::Status& fault) const {
    return Fail(offset, fault.message());
  }
  absl::Status Fail(size_t offset, absl::string_view what) const {
    return TemplateError(source_, offset, what);
  }

  absl::Status Step(size_t offset) {
    if (++steps_ > kMaxSteps || output_.size() > kMaxOutputBytes) {
      return absl::ResourceExhaustedError(
          Fail(offset, "the template does not come to an end in reasonable time and space")
              .message());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Flow> RunNodes(const std::vector<TemplateNode>& nodes, const Json& dot) {
    for (const TemplateNode& node : nodes) {
      BERTH_RETURN_IF_ERROR(Step(node.offset));
      switch (node.kind) {
        case TemplateNode::Kind::kText:
          output_ += node.text;
          break;
        case TemplateNode::Kind::kOutput: {
          BERTH_ASSIGN_OR_RETURN(const Json value, Evaluate(node.pipeline, dot));
          if (node.pipeline.variables.empty()) output_ += PrintValue(value);
          break;
        }
        case TemplateNode::Kind::kBreak:
          return Flow::kBreak;
        case TemplateNode::Kind::kContinue:
          return Flow::kContinue;
        default: {
          const size_t known_variables = variables_.size();
          BERTH_ASSIGN_OR_RETURN(const Flow flow, RunBlock(node, dot));
          variables_.resize(known_variables);
          if (flow != Flow::kNext) return flow;
        }
      }
    }
    return Flow::kNext;
  }

  absl::StatusOr<Flow> RunBlock(const TemplateNode& node, const Json& dot) {
    if (node.kind == TemplateNode::Kind::kRange) return RunRange(node, dot);
    BERTH_ASSIGN_OR_RETURN(const Json value, Evaluate(node.pipeline, dot));
    if (!IsTrue(value)) return RunNodes(node.otherwise, dot);
    return RunNodes(node.body, node.kind == TemplateNode::Kind::kWith ? value : dot);
  }

  absl::StatusOr<Flow> RunRange(const TemplateNode& node, const Json& dot) {
    Pipeline source = node.pipeline;
    source.variables.clear();  // they get the elements, not the list
    BERTH_ASSIGN_OR_RETURN(const Json value, Evaluate(source, dot));
    std::vector<std::pair<Json, const Json*>> elements;
    if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) elements.emplace_back(i, &value[i]);
    } else if (value.is_object()) {
      std::map<std::string, const Json*> sorted;
      for (auto it = value.begin(); it != value.end(); ++it) sorted[it.key()] = &it.value();
      for (const auto& [key, member] : sorted) elements.emplace_back(key, member);
    } else if (!value.is_null()) {
      return Fail(node.pipeline.offset,
                  absl::StrCat("range wants a list or a map, not ", PrintValue(value)));
    }
    if (elements.empty()) return RunNodes(node.otherwise, dot);
    for (const auto& [key, element] : elements) {
      const size_t known_variables = variables_.size();
      BERTH_RETURN_IF_ERROR(Step(node.offset));
      const std::vector<std::string>& names = node.pipeline.variables;
      if (names.size() == 2) Assign(node.pipeline, names[0], key);
      if (!names.empty()) Assign(node.pipeline, names.back(), *element);
      BERTH_ASSIGN_OR_RETURN(const Flow flow, RunNodes(node.body, *element));
      variables_.resize(known_variables);
      if (flow == Flow::kBreak) break;
    }
    return Flow::kNext;
  }

  void Assign(const Pipeline& pipeline, const std::string& name, const Json& value) {
    if (!pipeline.declares) {
      for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
        if (it->first == name) {
          it->second = value;
          return;
        }
      }
    }
    variables_.emplace_back(name, value);
  }

  absl::StatusOr<Json> Evaluate(const Pipeline& pipeline, const Json& dot) {
    Json value;
    bool has_value = false;
    for (const Invocation& invocation : pipeline.invocations) {
      BERTH_ASSIGN_OR_RETURN(Json next, Invoke(invocation, dot, has_value ? &value : nullptr));
      value = std::move(next);
      has_value = true;
    }
    for (const std::string& name : pipeline.variables) Assign(pipeline, name, value);
    return value;
  }

  // `last`: what comes through the pipe, the last argument.
  absl::StatusOr<Json> Invoke(const Invocation& invocation, const Json& dot, const Json* last) {
    const Term& first = invocation.words[0];
    BERTH_RETURN_IF_ERROR(Step(first.offset));
    if (first.kind == Term::Kind::kFunction && IsLazyFunction(first.name)) {
      return InvokeLazy(invocation, dot, last);
    }
    std::vector<Json> arguments;
    for (size_t i = 1; i < invocation.words.size(); ++i) {
      BERTH_ASSIGN_OR_RETURN(Json argument, ValueOf(invocation.words[i], dot, {}));
      arguments.push_back(std::move(argument));
    }
    if (last != nullptr) arguments.push_back(*last);
    if (first.kind != Term::Kind::kFunction || !first.fields.empty()) {
      return ValueOf(first, dot, arguments);
    }
    absl::StatusOr<Json> result = FindFunction(first.name)(arguments);
    if (result.ok()) return result;
    return Fail(first.offset, absl::StrCat(first.name, ": ", result.status().message()));
  }

  absl::StatusOr<Json> InvokeLazy(const Invocation& invocation, const Json& dot, const Json* last) {
    const Term& first = invocation.words[0];
    const bool stops_at = first.name == "or";
    Json value;
    for (size_t i = 1; i < invocation.words.size(); ++i) {
      BERTH_ASSIGN_OR_RETURN(value, ValueOf(invocation.words[i], dot, {}));
      if (IsTrue(value) == stops_at) return value;
    }
    if (last != nullptr) return *last;
    if (invocation.words.size() < 2) {
      return Fail(first.offset, absl::StrCat(first.name, ": wants a value"));
    }
    return value;
  }

  // `arguments` go to the last field, when that is a method.
  absl::StatusOr<Json> ValueOf(const Term& term, const Json& dot,
                               const std::vector<Json>& arguments) {
    Json computed;
    const Json* value = &computed;
    switch (term.kind) {
      case Term::Kind::kDot:
        value = &dot;
        break;
      case Term::Kind::kLiteral:
        value = &term.literal;
        break;
      case Term::Kind::kVariable:
        value = FindVariable(term.name);
        break;
      case Term::Kind::kPipeline: {
        BERTH_ASSIGN_OR_RETURN(computed, Evaluate(*term.pipeline, dot));
        break;
      }
      case Term::Kind::kFunction: {
        if (IsLazyFunction(term.name)) return Fail(term.offset, "this function wants arguments");
        absl::StatusOr<Json> result = FindFunction(term.name)({});
        if (!result.ok()) return Fail(term.offset, result.status());
        computed = *std::move(result);
        break;
      }
    }
    for (size_t i = 0; i < term.fields.size(); ++i) {
      BERTH_RETURN_IF_ERROR(Step(term.offset));
      const bool is_last = i + 1 == term.fields.size();
      const auto method = methods_.find(term.fields[i]);
      if (method != methods_.end()) {
        absl::StatusOr<Json> result =
            method->second(*value, is_last ? arguments : std::vector<Json>());
        if (!result.ok()) {
          return Fail(term.offset,
                      absl::StrCat(".", term.fields[i], ": ", result.status().message()));
        }
        computed = *std::move(result);
        value = &computed;
        continue;
      }
      if (is_last && !arguments.empty()) {
        return Fail(term.offset, absl::StrCat(".", term.fields[i], " takes no arguments"));
      }
      BERTH_ASSIGN_OR_RETURN(value, FieldOf(*value, term, i));
    }
    return *value;
  }

  const Json* FindVariable(const std::string& name) const {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) return &it->second;
    }
    return &document_;  // $; the parser refuses names that were never set
  }

  absl::StatusOr<const Json*> FieldOf(const Json& value, const Term& term, size_t index) const {
    static const Json* const kNothing = new Json(nullptr);
    const std::string& name = term.fields[index];
    if (value.is_object()) {
      const auto found = value.find(name);
      if (found != value.end()) return &*found;
      // .ID of {"Id"}, .TimeNano of {"timeNano"}: docker's templates are over its Go types, whose
      // names differ in case from those of the documents.
      for (auto it = value.begin(); it != value.end(); ++it) {
        if (absl::EqualsIgnoreCase(it.key(), name) && !IsUserMap(value, index)) return &*it;
      }
      if (IsUserMap(value, index)) return kNothing;
      std::vector<std::string> names;
      for (auto it = value.begin(); it != value.end(); ++it) names.push_back(it.key());
      for (const auto& [known, unused] : methods_) names.push_back(known);
      return Fail(term.offset, absl::StrCat("there is no field ", PathOf(term, index),
                                            " (there are: ", absl::StrJoin(names, ", "), ")"));
    }
    return Fail(
        term.offset,
        value.is_null()
            ? absl::StrCat("there is nothing that could have the field ", PathOf(term, index))
            : absl::StrCat(PrintValue(value), " has no field ", PathOf(term, index)));
  }

  // Labels and the like: their keys are the user's, not the format's, and seldom begin with a
  // capital letter.
  static bool IsUserMap(const Json& object, size_t index) {
    if (index == 0) return false;
    for (auto it = object.begin(); it != object.end(); ++it) {
      if (!it.key().empty() && absl::ascii_isupper(static_cast<unsigned char>(it.key()[0]))) {
        return false;
      }
    }
    return true;
  }

  static std::string PathOf(const Term& term, size_t index) {
    return absl::StrCat(
        ".", absl::StrJoin(term.fields.begin(),
                           term.fields.begin() + static_cast<std::ptrdiff_t>(index) + 1, "."));
  }

  const absl::string_view source_;
  const TemplateMethods& methods_;
  const Json& document_;
  std::vector<std::pair<std::string, Json>> variables_;
  std::string output_;
  int64_t steps_ = 0;
};

void CollectFields(const std::vector<TemplateNode>& nodes, std::vector<std::string>& names) {
  for (const TemplateNode& node : nodes) {
    for (const Invocation& invocation : node.pipeline.invocations) {
      for (const Term& term : invocation.words) {
        if (!term.fields.empty()) names.push_back(term.fields[0]);
      }
    }
    CollectFields(node.body, names);
    CollectFields(node.otherwise, names);
  }
}

}  // namespace

absl::StatusOr<Template> Template::Parse(absl::string_view source, TemplateMethods methods) {
  Template result;
  result.source_ = std::string(source);
  result.methods_ = std::move(methods);
  BERTH_ASSIGN_OR_RETURN(result.nodes_, ParseTemplate(source));
  return result;
}

absl::StatusOr<std::string> Template::Execute(const Json& document) const {
  return Execution(source_, methods_, document).Run(nodes_);
}

std::vector<std::string> Template::FieldNames() const {
  std::vector<std::string> names;
  CollectFields(nodes_, names);
  return names;
}

}  // namespace berth::client
