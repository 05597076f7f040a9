// Filters of list and subscribe calls: a list of expressions, any of which may match.
//
// Grammar of one expression: selectors joined by ',' must all hold (spaces around them are fine). A
// selector is a path of dot-joined names (a name may be quoted), alone (the field is there) or
// followed by ==, != or ~= and a value, bare, "quoted", or for ~= also /between/ or |between|
// delimiters. The empty expression and the empty list match everything. != holds for an absent
// field; ~= then looks at the empty string; a regular expression that RE2 refuses matches nothing.
// Immutable; thread-safe.
#ifndef BERTH_SERVER_FILTER_FILTER_H_
#define BERTH_SERVER_FILTER_FILTER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace berth {

class Filter {
 public:
  // The value at a path (e.g. {"labels", "a.b"}); nullopt when there is none.
  using FieldLookup =
      absl::FunctionRef<std::optional<std::string>(const std::vector<std::string>& field_path)>;

  // Errors: INVALID_ARGUMENT with the expression and the place of the fault.
  static absl::StatusOr<Filter> Compile(absl::Span<const std::string> expressions);
  static absl::StatusOr<Filter> Compile(absl::string_view expression);
  // Matches everything.
  Filter() = default;

  bool Matches(FieldLookup lookup) const;
  // Whatever the fields are: nothing needs to be looked up.
  bool MatchesAll() const { return expressions_ == nullptr; }

  struct Selector;

 private:
  // All selectors of one inner list must hold, for any of the outer list. Shared: copies are cheap.
  using Expressions = std::vector<std::vector<Selector>>;
  std::shared_ptr<const Expressions> expressions_;
};

}  // namespace berth

#endif  // BERTH_SERVER_FILTER_FILTER_H_
