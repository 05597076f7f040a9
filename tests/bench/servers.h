// The two servers of a comparison, and whose turn it is.
//
// Thread-compatible; does not own the servers.
#ifndef BERTH_TESTS_BENCH_SERVERS_H_
#define BERTH_TESTS_BENCH_SERVERS_H_

#include <array>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "base/status/status_macros.h"
#include "tests/bench/container_life.h"
#include "tests/bench/measure.h"

namespace berth::bench {

// How much a run measures.
struct Plan {
  int turns = 100;       // lives and execs
  int few_turns = 5;     // what takes long
  int execs = 5;         // per turn
  int records = 10'000;  // containers that are listed
  int many_execs = 10'000;
  int containers = 100;  // whose shims are weighed
  // Running containers that a new daemon finds, ascending; the peer is asked up to a number.
  std::vector<int> adopted = {100, 200, 1000};
  int adopted_by_peer = 200;
};

class Servers {
 public:
  Servers(Server& berthd, Server& containerd) : servers_{&berthd, &containerd} {}

  Server& berthd() const { return *servers_[0]; }
  Server& containerd() const { return *servers_[1]; }

  // Runs `act` on one after the other, neither always first; what it returns is, for each measure
  // of `measures`, this turn's values. The first turn is not counted: first uses load programs and
  // fill caches.
  using Values = std::vector<std::vector<double>>;
  absl::Status Turn(int turn, absl::FunctionRef<absl::StatusOr<Values>(Server&)> act,
                    const std::vector<Measure*>& measures) const {
    std::array<Values, 2> values;
    for (int i = 0; i < 2; ++i) {
      const int which = (i + turn) % 2;
      BERTH_ASSIGN_OR_RETURN(values[which], act(*servers_[which]));
    }
    if (turn < kWarmUpTurns) return absl::OkStatus();
    for (size_t i = 0; i < measures.size(); ++i) {
      measures[i]->AddTurn(values[0].at(i), values[1].at(i));
    }
    return absl::OkStatus();
  }

  static constexpr int kWarmUpTurns = 1;

 private:
  std::array<Server*, 2> servers_;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_SERVERS_H_
