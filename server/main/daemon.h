// The composition root: builds every object of the daemon, in order, by constructors.
//
// Invariant: after Start the API is served; after Stop no thread of the daemon's is left, the
// database is closed, and shims and containers run on. Members stand in the order of their
// dependencies, so that destruction takes the using before the used. Thread-compatible; owned by
// main.
#ifndef BERTH_SERVER_MAIN_DAEMON_H_
#define BERTH_SERVER_MAIN_DAEMON_H_

#include <sys/resource.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log/logger.h"
#include "base/os/unique_fd.h"
#include "server/main/config.h"
#include "server/main/systemd.h"

namespace berth {

// What the daemon got from whoever started it.
struct DaemonInheritance {
  struct rlimit nofile;  // before it was raised
  std::vector<InheritedSocket> sockets;
};

class Daemon {
 public:
  // `log` must outlive it. Blocks. Errors: FAILED_PRECONDITION when another daemon has ROOT, STATE
  // or the socket.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const Config& config,
                                                       DaemonInheritance inheritance,
                                                       const Logger& log);
  ~Daemon();
  // Ends calls and listeners, then everything below. Idempotent. Blocks.
  void Stop();
  // The same for a successor: calls get longer to end, and the listeners, still open, are returned.
  // ROOT and STATE are free then. Once; Blocks.
  std::vector<UniqueFd> Retire();

 private:
  class Parts;
  explicit Daemon(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_DAEMON_H_
