#include "client/commands/label_words.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace berth::client {

absl::StatusOr<std::map<std::string, std::string>> ParseLabels(
    const std::vector<std::string>& words, size_t first) {
  std::map<std::string, std::string> labels;
  for (size_t i = first; i < words.size(); ++i) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    if (parts.first.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", words[i], "\" is no label (KEY=value; KEY= removes it)"));
    }
    labels[parts.first] = parts.second;
  }
  return labels;
}

std::string FormatLabels(const google::protobuf::Map<std::string, std::string>& labels) {
  if (labels.empty()) return "-";
  const std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  return absl::StrJoin(sorted, ",", absl::PairFormatter("="));
}

}  // namespace berth::client
