// One container's life through the gRPC API, call by call as a Go client makes them, with the time
// of each step.
//
// A Server prepares what all lives share (a namespace and a committed snapshot with a busybox) and
// removes it at the end. Thread-safe but for SetUp and TearDown.
#ifndef BERTH_TESTS_BENCH_CONTAINER_LIFE_H_
#define BERTH_TESTS_BENCH_CONTAINER_LIFE_H_

#include <sys/types.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/bench/container_spec.h"

namespace berth::bench {

struct Stubs;

enum class Step {
  kPrepare,          // Snapshots.Prepare
  kCreateContainer,  // Containers.Create
  kCreateTask,       // Tasks.Create
  kStart,            // Tasks.Start
  kExit,             // Tasks.Wait answers, from the answer of Start on
  kDeleteTask,       // Tasks.Delete
  kDeleteContainer,  // Containers.Delete
  kRemove,           // Snapshots.Remove
};
inline constexpr size_t kSteps = 8;
absl::string_view StepName(Step step);

struct LifeTimes {
  std::array<absl::Duration, kSteps> steps;
  absl::Duration total;
};

class Server {
 public:
  // `label` names it in reports; `address` is the path of its unix socket; `snapshotter` must exist
  // there; its containers' control groups are made below `group`.
  Server(absl::string_view label, absl::string_view address, absl::string_view snapshotter,
         absl::string_view group);
  ~Server();

  const std::string& label() const { return label_; }
  const std::string& address() const { return address_; }
  const std::string& group() const { return group_; }
  // For what is no container's life.
  Stubs& stubs() const { return *stubs_; }
  // "name version" as the server says.
  absl::StatusOr<std::string> Version();
  // Makes the shared snapshot from the static program `busybox`.
  absl::Status SetUp(absl::string_view busybox);
  // Removes it and the namespace.
  absl::Status TearDown();
  // Runs a new container `id` to its end. Errors name the step.
  absl::StatusOr<LifeTimes> Run(absl::string_view id, const ContainerOptions& options);
  // A container that runs until StopContainer kills and removes it: its process.
  absl::StatusOr<pid_t> StartContainer(absl::string_view id, const ContainerOptions& options);
  absl::Status StopContainer(absl::string_view id);
  // Runs `arguments` beside it, to an exit with status 0 and Tasks.DeleteProcess: how long it took.
  absl::StatusOr<absl::Duration> Exec(absl::string_view container, absl::string_view exec_id,
                                      const std::vector<std::string>& arguments);

 private:
  class Life;
  const std::string label_;
  const std::string address_;
  const std::string snapshotter_;
  const std::string group_;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_CONTAINER_LIFE_H_
