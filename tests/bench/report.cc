#include "tests/bench/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::bench {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const Samples& samples) {
  return {{"count", samples.count()},
          {"p10_ms", samples.Percentile(0.10)},
          {"p50_ms", samples.Percentile(0.50)},
          {"p90_ms", samples.Percentile(0.90)},
          {"p99_ms", samples.Percentile(0.99)}};
}

Json ToJson(const Results& results) {
  Json steps = Json::object();
  for (size_t i = 0; i < kSteps; ++i) {
    const Step step = static_cast<Step>(i);
    steps[std::string(StepName(step))] = ToJson(results.step(step));
  }
  return {{"server", results.name()},
          {"life", ToJson(results.total())},
          {"lives_per_second", results.LivesPerSecond()},
          {"steps", steps},
          {"exec", ToJson(results.execs())}};
}

std::string Row(absl::string_view name, const Samples& fast, const Samples& slow) {
  const double fast_median = fast.Percentile(0.5);
  const double slow_median = slow.Percentile(0.5);
  return absl::StrFormat("%-18s %9.2f %9.2f   %9.2f %9.2f   %6.1fx\n", name, fast_median,
                         fast.Percentile(0.99), slow_median, slow.Percentile(0.99),
                         fast_median > 0 ? slow_median / fast_median : 0);
}

Samples Ratios(const Samples& fast, const Samples& slow) {
  Samples ratios;
  for (size_t i = 0; i < std::min(fast.count(), slow.count()); ++i) {
    if (fast.values()[i] > 0) ratios.Add(slow.values()[i] / fast.values()[i]);
  }
  return ratios;
}

std::string RatioLine(absl::string_view what, const Samples& ratios, size_t count) {
  return absl::StrFormat("%s: %.1f (p10 %.1f, p90 %.1f; %d turns, %d on each)\n", what,
                         ratios.Percentile(0.5), ratios.Percentile(0.1), ratios.Percentile(0.9),
                         ratios.count(), count);
}

Json RatioJson(const Samples& ratios) {
  return {{"turns", ratios.count()},
          {"p10", ratios.Percentile(0.1)},
          {"p50", ratios.Percentile(0.5)},
          {"p90", ratios.Percentile(0.9)}};
}

}  // namespace

void Results::AddTurn(const std::vector<LifeTimes>& lives, absl::Duration wall) {
  Samples turn;
  for (const LifeTimes& life : lives) {
    for (size_t i = 0; i < kSteps; ++i) {
      steps_[i].Add(absl::ToDoubleMilliseconds(life.steps[i]));
    }
    total_.Add(absl::ToDoubleMilliseconds(life.total));
    turn.Add(absl::ToDoubleMilliseconds(life.total));
  }
  turn_medians_.Add(turn.Percentile(0.5));
  wall_ms_ += absl::ToDoubleMilliseconds(wall);
}

double Results::LivesPerSecond() const {
  return wall_ms_ > 0 ? static_cast<double>(total_.count()) * 1000 / wall_ms_ : 0;
}

void Results::AddExecs(const std::vector<absl::Duration>& execs) {
  Samples turn;
  for (const absl::Duration exec : execs) {
    execs_.Add(absl::ToDoubleMilliseconds(exec));
    turn.Add(absl::ToDoubleMilliseconds(exec));
  }
  exec_turn_medians_.Add(turn.Percentile(0.5));
}

Samples LifeRatios(const Results& fast, const Results& slow) {
  return Ratios(fast.turn_medians(), slow.turn_medians());
}

Samples ExecRatios(const Results& fast, const Results& slow) {
  return Ratios(fast.exec_turn_medians(), slow.exec_turn_medians());
}

std::string TableReport(const Comparison& comparison) {
  const auto& [fast, slow, floor] = comparison;
  std::string out = absl::StrFormat("%-18s %19s   %19s   %7s\n", "milliseconds", fast.name(),
                                    slow.name(), "ratio");
  absl::StrAppendFormat(&out, "%-18s %9s %9s   %9s %9s   %7s\n", "", "p50", "p99", "p50", "p99",
                        "of p50");
  for (size_t i = 0; i < kSteps; ++i) {
    const Step step = static_cast<Step>(i);
    out += Row(StepName(step), fast.step(step), slow.step(step));
  }
  out += Row("whole life", fast.total(), slow.total());
  absl::StrAppendFormat(&out, "lives per second   %19.1f   %19.1f   %6.1fx\n",
                        fast.LivesPerSecond(), slow.LivesPerSecond(),
                        fast.LivesPerSecond() / slow.LivesPerSecond());
  if (fast.execs().count() > 0) out += Row("exec of true", fast.execs(), slow.execs());
  out += RatioLine("ratio", LifeRatios(fast, slow), fast.total().count());
  if (fast.execs().count() > 0) {
    out += RatioLine("exec ratio", ExecRatios(fast, slow), fast.execs().count());
  }
  if (floor.lives.count() > 0) {
    out += RatioLine("life over the kernel's floor", Ratios(floor.lives, fast.turn_medians()),
                     floor.lives.count());
    out += RatioLine("exec over the kernel's floor", Ratios(floor.execs, fast.exec_turn_medians()),
                     floor.execs.count());
  }
  return out;
}

std::string JsonReport(const Comparison& comparison) {
  const auto& [fast, slow, floor] = comparison;
  const Json report = {
      {"servers", {ToJson(fast), ToJson(slow)}},
      {"floor", {{"life", ToJson(floor.lives)}, {"exec", ToJson(floor.execs)}}},
      {"ratio", RatioJson(LifeRatios(fast, slow))},
      {"exec_ratio", RatioJson(ExecRatios(fast, slow))},
      {"life_over_floor", RatioJson(Ratios(floor.lives, fast.turn_medians()))},
      {"exec_over_floor", RatioJson(Ratios(floor.execs, fast.exec_turn_medians()))}};
  return report.dump(2) + "\n";
}

}  // namespace berth::bench
