#include "client/sdk/environment.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth::client {
namespace {

absl::string_view KeyOf(absl::string_view entry) { return entry.substr(0, entry.find('=')); }

std::vector<std::string>::iterator FindKey(std::vector<std::string>& environment,
                                           absl::string_view key) {
  return std::find_if(environment.begin(), environment.end(),
                      [&](const std::string& entry) { return KeyOf(entry) == key; });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> MergeEnvironment(
    std::vector<std::string> base, const std::vector<std::string>& overrides,
    const std::map<std::string, std::string>& inherited) {
  std::vector<std::string> result = std::move(base);
  for (const std::string& text : overrides) {
    const absl::string_view key = KeyOf(text);
    if (key.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is no environment variable (expected KEY=value or KEY)"));
    }
    std::string entry = text;
    const auto existing = FindKey(result, key);
    if (!absl::StrContains(text, '=')) {
      const auto own = inherited.find(text);
      if (own == inherited.end()) {
        if (existing != result.end()) result.erase(existing);
        continue;
      }
      entry = absl::StrCat(key, "=", own->second);
    }
    if (existing != result.end()) {
      *existing = std::move(entry);
    } else {
      result.push_back(std::move(entry));
    }
  }
  return result;
}

std::vector<std::string> ParseEnvironmentFile(absl::string_view text) {
  std::vector<std::string> entries;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripLeadingAsciiWhitespace(absl::StripSuffix(line, "\r"));
    if (line.empty() || line[0] == '#') continue;
    entries.push_back(std::string(line));
  }
  return entries;
}

std::map<std::string, std::string> InheritedEnvironment() {
  std::map<std::string, std::string> result;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const absl::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == absl::string_view::npos) continue;
    result[std::string(text.substr(0, equals))] = std::string(text.substr(equals + 1));
  }
  return result;
}

void SetDefault(std::vector<std::string>& environment, absl::string_view key,
                absl::string_view value) {
  if (FindKey(environment, key) == environment.end()) {
    environment.push_back(absl::StrCat(key, "=", value));
  }
}

}  // namespace berth::client
