// Numbers that /proc tells of a process.
//
// Thread-safe functions.
#ifndef BERTH_TESTS_BENCH_PROCESS_NUMBERS_H_
#define BERTH_TESTS_BENCH_PROCESS_NUMBERS_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::bench {

// What follows `label` ("PPid:") in /proc/PID/`file`. Errors: NOT_FOUND without such a line; what
// opening the file said.
absl::StatusOr<int64_t> ProcessNumber(pid_t pid, absl::string_view file, absl::string_view label);
// A line of /proc/PID/smaps_rollup ("Rss:", "Pss:", "Private_Dirty:"); 0 for a process that is
// gone.
int64_t MemoryKib(pid_t pid, absl::string_view label);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_PROCESS_NUMBERS_H_
