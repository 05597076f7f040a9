// One thing that the bench measured on both servers, and what it must reach.
//
// The machine is noisy, so that a ratio is made within each turn (the two servers run right after
// each other) and given as the median over all turns with its spread. Thread-compatible.
#ifndef BERTH_TESTS_BENCH_MEASURE_H_
#define BERTH_TESTS_BENCH_MEASURE_H_

#include <string>
#include <vector>

#include "tests/bench/samples.h"

namespace berth::bench {

enum class Better { kLower, kHigher };

struct Target {
  enum class Of { kNone, kRatioAtLeast, kRatioAtMost, kMedianAtMost };
  Of of = Of::kNone;
  double value = 0;
};

struct Measure {
  Measure(std::string what, std::string its_unit, Better which)
      : name(std::move(what)), unit(std::move(its_unit)), better(which) {}

  // One turn's values of both; its medians make the turn's ratio. `peer` may have none.
  void AddTurn(const std::vector<double>& ours, const std::vector<double>& peers);
  // How many times better ours is than the peer (with kRatioAtMost: how many times worse).
  double Ratio(double fraction) const;
  bool Reached() const;

  std::string name;
  std::string unit;
  Better better;
  std::string peer = "containerd";
  Target target;
  Samples ours;
  Samples peers;
  Samples ratios;  // one per turn
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_MEASURE_H_
