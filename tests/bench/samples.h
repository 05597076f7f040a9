// Durations of one step, and what is said about them.
//
// Thread-compatible.
#ifndef BERTH_TESTS_BENCH_SAMPLES_H_
#define BERTH_TESTS_BENCH_SAMPLES_H_

#include <cstddef>
#include <vector>

namespace berth::bench {

class Samples {
 public:
  void Add(double value) { values_.push_back(value); }
  size_t count() const { return values_.size(); }
  // The smallest value that at least `fraction` of all values do not exceed; 0 without values.
  double Percentile(double fraction) const;
  const std::vector<double>& values() const { return values_; }

 private:
  std::vector<double> values_;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_SAMPLES_H_
