// --filter KEY=VALUE, as the server wants it. Pure function.
#ifndef BERTH_CLIENT_DOCKER_FILTERS_H_
#define BERTH_CLIENT_DOCKER_FILTERS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/map.h"
#include "proto/berth/engine/v1/life.pb.h"

namespace berth::client {

// "label!=x" is the key "label!". Errors: INVALID_ARGUMENT.
inline absl::Status AddFilters(
    const std::vector<std::string>& words,
    google::protobuf::Map<std::string, ::berth::engine::v1::Filter>& filters) {
  for (const std::string& word : words) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
    if (parts.first.empty() || parts.first.size() == word.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", word, "\" is no value for --filter: expected KEY=VALUE"));
    }
    filters[parts.first].add_values(parts.second);
  }
  return absl::OkStatus();
}

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_FILTERS_H_
