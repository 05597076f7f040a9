#include "shim/io/target.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"

namespace berth::io {
namespace {

enum class Plus { kLiteral, kSpace };

absl::StatusOr<std::string> Unescape(absl::string_view text, Plus plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kSpace) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else if (i + 2 < text.size() && absl::ascii_isxdigit(text[i + 1]) &&
               absl::ascii_isxdigit(text[i + 2])) {
      out += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      return absl::InvalidArgumentError(absl::StrCat("malformed escape in \"", text, "\""));
    }
  }
  // A NUL would cut the path short for the kernel, and only for it.
  if (out.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("a NUL character in \"", text, "\""));
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> ParseQuery(absl::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const absl::string_view part : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    BERTH_ASSIGN_OR_RETURN(std::string key, Unescape(halves.first, Plus::kSpace));
    BERTH_ASSIGN_OR_RETURN(std::string value, Unescape(halves.second, Plus::kSpace));
    const bool seen = std::any_of(pairs.begin(), pairs.end(),
                                  [&](const auto& pair) { return pair.first == key; });
    if (!seen) pairs.emplace_back(std::move(key), std::move(value));
  }
  std::vector<std::string> arguments;
  for (auto& [key, value] : pairs) {
    arguments.push_back(std::move(key));
    arguments.push_back(std::move(value));
  }
  return arguments;
}

}  // namespace

absl::StatusOr<Target> ParseTarget(absl::string_view text) {
  Target target;
  if (text.empty()) return target;
  const size_t scheme_end = text.find("://");
  if (scheme_end == absl::string_view::npos) {
    target.kind = TargetKind::kPath;
    target.path = std::string(text);
  } else {
    const absl::string_view scheme = text.substr(0, scheme_end);
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(text.substr(scheme_end + 3), absl::MaxSplits('?', 1));
    BERTH_ASSIGN_OR_RETURN(target.path, Unescape(halves.first, Plus::kLiteral));
    if (scheme == "fifo") {
      target.kind = TargetKind::kPath;
    } else if (scheme == "file") {
      target.kind = TargetKind::kFile;
    } else if (scheme == "binary" || scheme == "binary-v2") {
      target.kind = scheme == "binary" ? TargetKind::kBinary : TargetKind::kBinaryV2;
      BERTH_ASSIGN_OR_RETURN(target.arguments, ParseQuery(halves.second));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("stdio \"", text, "\": unknown scheme \"", scheme,
                       "\"; use a FIFO's path, file://, binary:// or binary-v2://"));
    }
  }
  if (target.path.empty() || target.path[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("stdio \"", text, "\": the path must be absolute"));
  }
  return target;
}

}  // namespace berth::io
