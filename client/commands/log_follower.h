// Prints a log file: its last lines, then what is added. Thread-compatible function.
#ifndef BERTH_CLIENT_COMMANDS_LOG_FOLLOWER_H_
#define BERTH_CLIENT_COMMANDS_LOG_FOLLOWER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth::client {

inline constexpr int kAllLines = -1;

// Where the last `lines` lines of the file begin.
absl::StatusOr<int64_t> FindTail(BorrowedFd file, int lines);

// Copies the file from `offset` to `sink`. With a valid `ended`, goes on with what is added until
// `ended` is readable. Blocks until then.
absl::Status CopyLog(const std::string& path, int64_t offset, BorrowedFd sink, BorrowedFd ended);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_LOG_FOLLOWER_H_
