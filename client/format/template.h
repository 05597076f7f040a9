// Go's templates as docker's --format knows them, over JSON documents.
//
// What there is: text, {{.Field.Field}}, $variables, pipelines, parentheses, comments, {{- -}},
// if / else if / else, range / else, with, break, continue, and the functions of
// template_function.h. What there is not: define, template, block.
// Invariant: execution ends: the output and the steps taken are bounded. Immutable once parsed,
// thread-safe; owned by the command that was given the format.
#ifndef BERTH_CLIENT_FORMAT_TEMPLATE_H_
#define BERTH_CLIENT_FORMAT_TEMPLATE_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/format/template_tree.h"
#include "client/sdk/json_access.h"

namespace berth::client {

// A field that is computed, maybe from arguments: {{.Label "key"}}.
using TemplateMethod =
    std::function<absl::StatusOr<Json>(const Json& receiver, const std::vector<Json>& arguments)>;
using TemplateMethods = std::map<std::string, TemplateMethod>;

class Template {
 public:
  // Errors: INVALID_ARGUMENT with the position.
  static absl::StatusOr<Template> Parse(absl::string_view source, TemplateMethods methods = {});

  // A field that the document lacks is an error that lists the fields there are; an entry that a
  // map of user's keys (labels) lacks is <no value>. Errors: INVALID_ARGUMENT with the position,
  // RESOURCE_EXHAUSTED.
  absl::StatusOr<std::string> Execute(const Json& document) const;

  // The fields named directly, in order: the headings of a table.
  std::vector<std::string> FieldNames() const;

 private:
  Template() = default;

  std::string source_;
  std::vector<TemplateNode> nodes_;
  TemplateMethods methods_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_TEMPLATE_H_
