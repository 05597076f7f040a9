// Go's printf for templates. Pure function.
#ifndef BERTH_CLIENT_FORMAT_TEMPLATE_PRINTF_H_
#define BERTH_CLIENT_FORMAT_TEMPLATE_PRINTF_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/sdk/json_access.h"

namespace berth::client {

// The verbs v s d q x X o b c e f g t T and %%, with the flags - + 0 # and space, width and
// precision. A verb that does not fit its argument shows itself in the output, as in Go.
std::string FormatValues(absl::string_view format, const std::vector<Json>& values);

// "text" in quotes, with escapes.
std::string Quote(absl::string_view text);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_TEMPLATE_PRINTF_H_
