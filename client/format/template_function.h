// The functions that templates call: Go's own and the ones that docker adds. Pure functions.
#ifndef BERTH_CLIENT_FORMAT_TEMPLATE_FUNCTION_H_
#define BERTH_CLIENT_FORMAT_TEMPLATE_FUNCTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/format/template_value.h"
#include "client/sdk/json_access.h"

namespace berth::client {

using TemplateFunction = absl::StatusOr<Json> (*)(const std::vector<Json>& arguments);

// nullptr when there is none of that name.
TemplateFunction FindFunction(absl::string_view name);
// "and" and "or" look at their later arguments only when they must: the template itself calls them.
bool IsLazyFunction(absl::string_view name);
// Whether a call without an argument means nothing: all but the printing ones.
bool NeedsArguments(absl::string_view name);
// "and, eq, ge, ...".
std::string FunctionNames();

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_TEMPLATE_FUNCTION_H_
