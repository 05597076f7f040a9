// What a comparison found: per step and server p50 and p99, throughput, and the ratio of the two.
//
// The machine is noisy, so that a ratio is made within each turn (the two servers run right after
// each other) and reported as the median over all turns with its spread. Thread-compatible.
#ifndef BERTH_TESTS_BENCH_REPORT_H_
#define BERTH_TESTS_BENCH_REPORT_H_

#include <array>
#include <string>
#include <vector>

#include "tests/bench/container_life.h"
#include "tests/bench/samples.h"

namespace berth::bench {

// One server's results, in milliseconds.
class Results {
 public:
  explicit Results(std::string name) : name_(std::move(name)) {}
  // All lives of one turn and how long the turn took.
  void AddTurn(const std::vector<LifeTimes>& lives, absl::Duration wall);

  const std::string& name() const { return name_; }
  const Samples& step(Step step) const { return steps_[static_cast<size_t>(step)]; }
  const Samples& total() const { return total_; }
  const Samples& turn_medians() const { return turn_medians_; }
  double LivesPerSecond() const;
  // Execs of one turn.
  void AddExecs(const std::vector<absl::Duration>& execs);
  const Samples& execs() const { return execs_; }
  const Samples& exec_turn_medians() const { return exec_turn_medians_; }

 private:
  std::string name_;
  std::array<Samples, kSteps> steps_;
  Samples total_;
  Samples turn_medians_;  // of total, one per turn
  Samples execs_;
  Samples exec_turn_medians_;
  double wall_ms_ = 0;
};

// How many times faster a life, an exec, is on `fast` than on `slow`: one value per turn.
Samples LifeRatios(const Results& fast, const Results& slow);
Samples ExecRatios(const Results& fast, const Results& slow);

// What the kernel alone takes for the same, in milliseconds, one value per turn; empty when it was
// not measured.
struct FloorResults {
  Samples lives;
  Samples execs;
};

// Everything a run found. Immutable once made.
struct Comparison {
  const Results& fast;
  const Results& slow;
  const FloorResults& floor;
};
std::string TableReport(const Comparison& comparison);
std::string JsonReport(const Comparison& comparison);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_REPORT_H_
