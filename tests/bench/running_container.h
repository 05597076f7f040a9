// A container that runs while something is measured in it or beside it.
//
// Its id holds the server's label: control groups and processes of the two are told apart by it.
// Removed by Stop, at the latest with the object: a container outlives its daemon.
// Thread-compatible.
#ifndef BERTH_TESTS_BENCH_RUNNING_CONTAINER_H_
#define BERTH_TESTS_BENCH_RUNNING_CONTAINER_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "tests/bench/container_life.h"

namespace berth::bench {

class RunningContainer {
 public:
  explicit RunningContainer(Server& server, int number = 0);
  ~RunningContainer();
  RunningContainer(const RunningContainer&) = delete;
  RunningContainer& operator=(const RunningContainer&) = delete;

  const std::string& id() const { return id_; }
  pid_t pid() const { return pid_; }
  absl::Status Start();
  absl::Status Stop();

 private:
  Server& server_;
  const std::string id_;
  pid_t pid_ = -1;
  bool running_ = false;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_RUNNING_CONTAINER_H_
