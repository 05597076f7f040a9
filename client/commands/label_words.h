// "KEY=value KEY=" words of the `label` commands. Pure function.
#ifndef BERTH_CLIENT_COMMANDS_LABEL_WORDS_H_
#define BERTH_CLIENT_COMMANDS_LABEL_WORDS_H_

#include <google/protobuf/map.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace berth::client {

// From words[first] on. An empty value removes the label. Errors: INVALID_ARGUMENT.
absl::StatusOr<std::map<std::string, std::string>> ParseLabels(
    const std::vector<std::string>& words, size_t first);

// "a=b,c=d", sorted; "-" for none.
std::string FormatLabels(const google::protobuf::Map<std::string, std::string>& labels);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_LABEL_WORDS_H_
