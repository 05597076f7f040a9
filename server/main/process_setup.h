// What the daemon changes about its own process before it starts threads.
//
// Thread-hostile: called by main once, first thing.
#ifndef BERTH_SERVER_MAIN_PROCESS_SETUP_H_
#define BERTH_SERVER_MAIN_PROCESS_SETUP_H_

#include <sys/resource.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth {

// Marks every descriptor but 0 to 2 CLOEXEC: what our parent forgot to close reaches no shim.
void SealInheritedDescriptors();

// Raises the soft NOFILE limit to the hard one and returns what it was: containers get that one.
absl::StatusOr<struct rlimit> RaiseFileLimit();

// Writes /proc/self/oom_score_adj. Errors: PERMISSION_DENIED without CAP_SYS_RESOURCE when it goes
// down.
absl::Status SetOomScore(int64_t score);

// Ignores SIGPIPE (a client that leaves is an error of write) and blocks SIGTERM, SIGINT, SIGHUP
// and SIGUSR2 for this thread and those it starts: they are read from the returned signalfd.
absl::StatusOr<UniqueFd> TakeSignals();

// Waits for the next signal of TakeSignals; its number.
absl::StatusOr<int> NextSignal(BorrowedFd signals);

// Gives the signals of TakeSignals their default effect again: ending the process.
void RestoreSignals();

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_PROCESS_SETUP_H_
