// A daemon of a bench's own, with root, state and socket in one directory.
//
// Thread-safe functions.
#ifndef BERTH_TESTS_BENCH_BENCH_DAEMON_H_
#define BERTH_TESTS_BENCH_BENCH_DAEMON_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/spawn.h"

namespace berth::bench {

std::string SocketOf(const std::string& directory);
// Starts `program` of directory `bin`, with `more` arguments; its log is `directory`/daemon.log.
absl::StatusOr<ChildProcess> StartDaemon(const std::string& bin, const std::string& program,
                                         const std::string& directory,
                                         const std::vector<std::string>& more = {});
// Until somebody listens at `socket`. Errors: DEADLINE_EXCEEDED.
absl::Status AwaitListener(const std::string& socket, absl::Time deadline);
// The shims whose bundles lie below `directory`.
std::vector<pid_t> ShimsOf(const std::string& directory);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_BENCH_DAEMON_H_
