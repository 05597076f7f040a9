// A process named beyond doubt: pid and start time, and the boot in which they mean something.
//
// Invariant: two processes of one boot never share both numbers, so a stored pair names one process
// or none. Thread-safe functions.
#ifndef BERTH_BASE_OS_PROCESS_IDENTITY_H_
#define BERTH_BASE_OS_PROCESS_IDENTITY_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth {

struct ProcessIdentity {
  pid_t pid = -1;
  uint64_t start_time_ticks = 0;  // field 22 of /proc/<pid>/stat
};

// Errors: NOT_FOUND when there is no such process.
absl::StatusOr<ProcessIdentity> ReadProcessIdentity(pid_t pid);
// A pidfd of exactly that process. Errors: NOT_FOUND when it has gone, whoever has its pid now.
absl::StatusOr<UniqueFd> OpenPidFd(const ProcessIdentity& identity);
// The kernel's id of this boot, 36 characters.
absl::StatusOr<std::string> ReadBootId();

}  // namespace berth

#endif  // BERTH_BASE_OS_PROCESS_IDENTITY_H_
