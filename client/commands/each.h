// One operation on each of several named objects: all are tried, what worked is printed, what
// failed is explained. Pure control flow.
#ifndef BERTH_CLIENT_COMMANDS_EACH_H_
#define BERTH_CLIENT_COMMANDS_EACH_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::client {

// Answers 0, or 1 when one or more failed.
int ForEach(absl::string_view verb, const std::vector<std::string>& words,
            const std::function<absl::Status(const std::string&)>& operation);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_EACH_H_
