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

// The same for operations that take long: up to 16 at a time, in threads. Output comes in the order
// of `words`. `operation` must be thread-safe.
int ForEachAtOnce(absl::string_view verb, const std::vector<std::string>& words,
                  const std::function<absl::Status(const std::string&)>& operation);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_EACH_H_
