// The daemon's claim on a directory: ROOT and STATE belong to one daemon at a time.
//
// Invariant: while a DirectoryLock lives, no other daemon gets one on the same directory; the
// kernel drops it with the process, however that ends. Thread-compatible; owned by server/main.
#ifndef BERTH_SERVER_MAIN_STATE_LOCK_H_
#define BERTH_SERVER_MAIN_STATE_LOCK_H_

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

class DirectoryLock {
 public:
  // Makes `directory` (mode 0711) where it is missing and locks `directory`/berthd.lock, which then
  // holds our pid. Waits up to two seconds for what a daemon that has ended leaves behind. Errors:
  // FAILED_PRECONDITION naming the daemon that has it.
  static absl::StatusOr<DirectoryLock> Acquire(absl::string_view directory);

 private:
  explicit DirectoryLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_STATE_LOCK_H_
