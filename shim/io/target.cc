#include "shim/io/target.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"

namespace berth::io {
namespace {

constexpr uint64_t kSmallestLogBytes = 4096;
constexpr uint32_t kMostLogFiles = 1000;
constexpr uint32_t kLargestBufferBytes = 64u << 20;

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

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Each key with its first value.
absl::StatusOr<Pairs> ParsePairs(absl::string_view query) {
  Pairs pairs;
  for (const absl::string_view part : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    BERTH_ASSIGN_OR_RETURN(std::string key, Unescape(halves.first, Plus::kSpace));
    BERTH_ASSIGN_OR_RETURN(std::string value, Unescape(halves.second, Plus::kSpace));
    const bool seen = std::any_of(pairs.begin(), pairs.end(),
                                  [&](const auto& pair) { return pair.first == key; });
    if (!seen) pairs.emplace_back(std::move(key), std::move(value));
  }
  return pairs;
}

absl::StatusOr<std::vector<std::string>> ParseQuery(absl::string_view query) {
  BERTH_ASSIGN_OR_RETURN(Pairs pairs, ParsePairs(query));
  std::vector<std::string> arguments;
  for (auto& [key, value] : pairs) {
    arguments.push_back(std::move(key));
    arguments.push_back(std::move(value));
  }
  return arguments;
}

absl::Status BadOption(absl::string_view key, absl::string_view value, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("log option ", key, "=\"", value, "\": expected ", wanted));
}

// Strict: a misspelt option that was ignored would show when a disk is full.
absl::StatusOr<LogOptions> ParseLogOptions(const Pairs& pairs) {
  LogOptions options;
  for (const auto& [key, value] : pairs) {
    if (key == "driver") {
      if (value != "json-file" && value != "cri") return BadOption(key, value, "json-file or cri");
      options.format = value == "cri" ? LogFormat::kCri : LogFormat::kJsonFile;
    } else if (key == "max-size") {
      if (!absl::SimpleAtoi(value, &options.max_size_bytes) ||
          (options.max_size_bytes != 0 && options.max_size_bytes < kSmallestLogBytes)) {
        return BadOption(key, value, "a number of bytes from 4096, or 0 for no limit");
      }
    } else if (key == "max-file") {
      if (!absl::SimpleAtoi(value, &options.max_files) || options.max_files < 1 ||
          options.max_files > kMostLogFiles) {
        return BadOption(key, value, "a number of files from 1 to 1000");
      }
    } else if (key == "mode") {
      if (value != "blocking" && value != "non-blocking") {
        return BadOption(key, value, "blocking or non-blocking");
      }
      options.mode = value == "blocking" ? LogMode::kBlocking : LogMode::kNonBlocking;
    } else if (key == "max-buffer-size") {
      if (!absl::SimpleAtoi(value, &options.max_buffer_bytes) || options.max_buffer_bytes < 4096 ||
          options.max_buffer_bytes > kLargestBufferBytes) {
        return BadOption(key, value, "a number of bytes from 4096 to 67108864");
      }
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "log option \"", key,
          "\" is not known: driver, max-size, max-file, mode and max-buffer-size are"));
    }
  }
  return options;
}

absl::StatusOr<Target> ParseAttach(absl::string_view text, absl::string_view path,
                                   absl::string_view query) {
  Target target;
  target.kind = TargetKind::kAttach;
  BERTH_ASSIGN_OR_RETURN(const Pairs pairs, ParsePairs(query));
  if (!path.empty() || pairs.size() > 1 ||
      (pairs.size() == 1 &&
       (pairs[0].first != "once" || (pairs[0].second != "true" && pairs[0].second != "false")))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "stdio \"", text, "\": expected berth-attach:// or berth-attach://?once=true"));
  }
  if (pairs.size() == 1 && pairs[0].second == "true") {
    target.input_end = Target::InputEnd::kFirstClient;
  }
  return target;
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
    if (scheme == "berth-attach") return ParseAttach(text, target.path, halves.second);
    if (scheme == "fifo") {
      target.kind = TargetKind::kPath;
    } else if (scheme == "file") {
      target.kind = TargetKind::kFile;
    } else if (scheme == "berth-log") {
      target.kind = TargetKind::kLog;
      BERTH_ASSIGN_OR_RETURN(const Pairs pairs, ParsePairs(halves.second));
      BERTH_ASSIGN_OR_RETURN(target.log, ParseLogOptions(pairs), _ << "stdio \"" << text << "\"");
    } else if (scheme == "binary" || scheme == "binary-v2") {
      target.kind = scheme == "binary" ? TargetKind::kBinary : TargetKind::kBinaryV2;
      BERTH_ASSIGN_OR_RETURN(target.arguments, ParseQuery(halves.second));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("stdio \"", text, "\": unknown scheme \"", scheme,
                       "\"; use a FIFO's path, file://, binary://, binary-v2://, berth-log:// "
                       "or berth-attach://"));
    }
  }
  if (target.path.empty() || target.path[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("stdio \"", text, "\": the path must be absolute"));
  }
  return target;
}

}  // namespace berth::io
