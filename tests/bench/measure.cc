#include "tests/bench/measure.h"

namespace berth::bench {
namespace {

double Median(const std::vector<double>& values) {
  Samples samples;
  for (const double value : values) samples.Add(value);
  return samples.Percentile(0.5);
}

}  // namespace

void Measure::AddTurn(const std::vector<double>& ours_now, const std::vector<double>& peers_now) {
  for (const double value : ours_now) ours.Add(value);
  for (const double value : peers_now) peers.Add(value);
  const double our_median = Median(ours_now);
  const double peer_median = Median(peers_now);
  if (our_median <= 0 || peer_median <= 0) return;
  const bool ours_above = (better == Better::kHigher) != (target.of == Target::Of::kRatioAtMost);
  ratios.Add(ours_above ? our_median / peer_median : peer_median / our_median);
}

double Measure::Ratio(double fraction) const { return ratios.Percentile(fraction); }

bool Measure::Reached() const {
  switch (target.of) {
    case Target::Of::kNone:
      return true;
    case Target::Of::kRatioAtLeast:
      return Ratio(0.5) >= target.value;
    case Target::Of::kRatioAtMost:
      return ratios.count() > 0 && Ratio(0.5) <= target.value;
    case Target::Of::kMedianAtMost:
      return ours.count() > 0 && ours.Percentile(0.5) <= target.value;
  }
  return false;
}

}  // namespace berth::bench
