#include "tests/bench/samples.h"

#include "gtest/gtest.h"

namespace berth::bench {
namespace {

TEST(SamplesTest, PercentileIsTheNearestRank) {
  Samples samples;
  EXPECT_EQ(samples.Percentile(0.5), 0);
  for (const double value : {40, 10, 30, 20}) samples.Add(value);
  EXPECT_EQ(samples.Percentile(0), 10);
  EXPECT_EQ(samples.Percentile(0.5), 20);
  EXPECT_EQ(samples.Percentile(0.51), 30);
  EXPECT_EQ(samples.Percentile(0.99), 40);
  EXPECT_EQ(samples.Percentile(1), 40);
}

}  // namespace
}  // namespace berth::bench
