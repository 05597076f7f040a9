#include "tests/bench/process_numbers.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::bench {

absl::StatusOr<int64_t> ProcessNumber(pid_t pid, absl::string_view file, absl::string_view label) {
  const std::string path = absl::StrCat("/proc/", pid, "/", file);
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, label)) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    int64_t number = 0;
    if (words.size() > 1 && absl::SimpleAtoi(words[1], &number)) return number;
  }
  return absl::NotFoundError(absl::StrCat(path, ": no number after \"", label, "\""));
}

int64_t MemoryKib(pid_t pid, absl::string_view label) {
  return ProcessNumber(pid, "smaps_rollup", label).value_or(0);
}

}  // namespace berth::bench
