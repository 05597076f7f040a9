#include "server/metadata/labels.h"

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::metadata {
namespace {

constexpr size_t kLabelLimitBytes = 4096;
constexpr size_t kShownKeyBytes = 64;

// Reads "<length>:<bytes>" from the front of `text`.
bool TakeChunk(absl::string_view& text, std::string& chunk) {
  const size_t colon = text.find(':');
  uint32_t length = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, colon), &length)) {
    return false;
  }
  text.remove_prefix(colon + 1);
  if (text.size() < length) return false;
  chunk.assign(text.data(), length);
  text.remove_prefix(length);
  return true;
}

}  // namespace

absl::Status ValidateLabels(const Labels& labels) {
  for (const auto& [key, value] : labels) {
    if (key.size() + value.size() <= kLabelLimitBytes) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("label key and value length (", key.size() + value.size(),
                     " bytes) greater than maximum size (", kLabelLimitBytes,
                     " bytes), key: ", absl::string_view(key).substr(0, kShownKeyBytes)));
  }
  return absl::OkStatus();
}

void DropEmptyLabels(Labels& labels) {
  for (auto it = labels.begin(); it != labels.end();) {
    it = it->second.empty() ? labels.erase(it) : std::next(it);
  }
}

void ApplyLabelPath(const Labels& source, absl::string_view key, Labels& target) {
  const std::string name(key);
  const auto found = source.find(name);
  if (found == source.end() || found->second.empty()) {
    target.erase(name);
  } else {
    target[name] = found->second;
  }
}

std::optional<std::string> FindLabel(const Labels& labels, absl::Span<const std::string> key_path) {
  const auto found = labels.find(absl::StrJoin(key_path, "."));
  if (found == labels.end()) return std::nullopt;
  return found->second;
}

std::string EncodeLabels(const Labels& labels) {
  const std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  std::string text;
  for (const auto& [key, value] : sorted) {
    absl::StrAppend(&text, key.size(), ":", key, value.size(), ":", value);
  }
  return text;
}

absl::StatusOr<Labels> DecodeLabels(absl::string_view text) {
  Labels labels;
  while (!text.empty()) {
    std::string key;
    std::string value;
    if (!TakeChunk(text, key) || !TakeChunk(text, value)) {
      return absl::DataLossError("the stored labels are damaged");
    }
    labels[key] = std::move(value);
  }
  return labels;
}

}  // namespace berth::metadata
