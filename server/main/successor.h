// Upgrade in place: this daemon makes place for one of the program that is now installed, without
// its listening sockets ever being closed.
//
// The successor is asked first whether it understands the configuration; one that does not changes
// nothing. Then this daemon ends its calls, closes its stores and lets go of their locks, starts
// the successor with the listeners as LISTEN_FDS, and waits until that serves. Meanwhile clients
// wait in the listeners' backlogs. Thread-compatible; used by main.
#ifndef BERTH_SERVER_MAIN_SUCCESSOR_H_
#define BERTH_SERVER_MAIN_SUCCESSOR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "server/main/systemd.h"

namespace berth {

class Successor {
 public:
  // `arguments`: this process's, with argv[0]. Remembers where this program lies, for the day when
  // another lies there. Errors: of reading /proc/self/exe.
  static absl::StatusOr<Successor> Prepare(std::vector<std::string> arguments);

  // Runs the program with the same arguments and "config dump". Blocks. Errors: FAILED_PRECONDITION
  // where it fails, INTERNAL where it cannot be run.
  absl::Status Check() const;

  // Starts it and waits until it serves. `listeners` are borrowed. Returns its pid. Errors:
  // UNAVAILABLE when it ended, DEADLINE_EXCEEDED (it is then left to itself). Blocks.
  absl::StatusOr<pid_t> Start(const std::vector<UniqueFd>& listeners,
                              const ServiceManager& manager) const;

 private:
  Successor(std::string program, std::vector<std::string> arguments)
      : program_(std::move(program)), arguments_(std::move(arguments)) {}

  std::string program_;
  std::vector<std::string> arguments_;
};

// What a successor tells its predecessor once it serves; nothing where there is none. Takes the
// variable out of the environment. Thread-hostile as all of systemd.h.
class Predecessor {
 public:
  static Predecessor FromEnvironment();
  void TellReady();

 private:
  UniqueFd ready_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_SUCCESSOR_H_
