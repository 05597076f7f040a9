// What a comparison found, for a terminal and for programs.
//
// Thread-compatible.
#ifndef BERTH_TESTS_BENCH_REPORT_H_
#define BERTH_TESTS_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/bench/measure.h"

namespace berth::bench {

class Report {
 public:
  // A line of the header: machine and versions.
  void AddHeader(absl::string_view name, absl::string_view value);
  void Add(Measure measure) { measures_.push_back(std::move(measure)); }

  const std::vector<Measure>& measures() const { return measures_; }
  // Null when there is none of this name.
  const Measure* Find(absl::string_view name) const;
  std::string Table() const;
  std::string Json() const;
  // Names of the measures that fell short of their targets.
  std::vector<std::string> Missed() const;

 private:
  struct HeaderLine {
    std::string name;
    std::string value;
  };
  std::vector<HeaderLine> header_;
  std::vector<Measure> measures_;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_REPORT_H_
