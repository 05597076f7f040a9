// A daemon of a bench's own, berthd or containerd, that is killed while its containers run on, and
// started again.
//
// Invariant: the containers are gone with Stop, at the latest with the object, as far as the daemon
// can still remove them. Thread-compatible.
#ifndef BERTH_TESTS_BENCH_ADOPTING_DAEMON_H_
#define BERTH_TESTS_BENCH_ADOPTING_DAEMON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/spawn.h"
#include "tests/bench/container_life.h"

namespace berth::bench {

struct AdoptingProgram {
  std::string label;  // in reports and of control groups
  std::string bin;    // the directory of its programs
  std::string name;
  std::vector<std::string> arguments = {};  // beside root, state and address
  std::string directory;                    // of its own
  std::string snapshotter;
  std::string group;  // control groups are made below this one
  std::string busybox = "/bin/busybox";
};

class AdoptingDaemon {
 public:
  explicit AdoptingDaemon(AdoptingProgram program);
  ~AdoptingDaemon();
  AdoptingDaemon(const AdoptingDaemon&) = delete;
  AdoptingDaemon& operator=(const AdoptingDaemon&) = delete;

  absl::Status Start();
  // Starts containers until `count` run.
  absl::Status GrowTo(int count);
  // Kills the daemon and starts it again: how long it took from its exec to the first Tasks.List
  // that names all containers as running, with a Tasks.Get of one and a Tasks.ListPids of another
  // answered after it.
  absl::StatusOr<absl::Duration> Restart();
  // Removes the containers and ends the daemon.
  absl::Status Stop();

  Server& server() { return server_; }
  int64_t ResidentKib() const;

 private:
  absl::StatusOr<absl::Duration> Adopt();
  absl::Status CheckAnswers(Stubs& stubs) const;
  std::string IdOf(int number) const;

  const AdoptingProgram program_;
  Server server_;
  ChildProcess daemon_;
  bool is_set_up_ = false;
  int containers_ = 0;
  int restarts_ = 0;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_ADOPTING_DAEMON_H_
