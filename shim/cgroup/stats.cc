#include "shim/cgroup/stats.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"

namespace berth::cgroup {

bool UsesV1(const Cgroup& group) { return group.FindController("memory") != nullptr; }

uint64_t ReadNumber(BorrowedFd directory, absl::string_view file) {
  absl::StatusOr<std::string> text = ReadFileAt(directory, file);
  if (!text.ok()) return 0;
  const absl::string_view trimmed = absl::StripAsciiWhitespace(*text);
  if (trimmed == "max") return std::numeric_limits<uint64_t>::max();
  uint64_t number = 0;
  return absl::SimpleAtoi(trimmed, &number) ? number : 0;
}

std::vector<std::pair<std::string, uint64_t>> ReadFlatKeyed(BorrowedFd directory,
                                                            absl::string_view file) {
  std::vector<std::pair<std::string, uint64_t>> out;
  absl::StatusOr<std::string> text = ReadFileAt(directory, file);
  if (!text.ok()) return out;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    uint64_t number = 0;
    if (absl::SimpleAtoi(parts.second, &number)) out.emplace_back(std::string(parts.first), number);
  }
  return out;
}

}  // namespace berth::cgroup
