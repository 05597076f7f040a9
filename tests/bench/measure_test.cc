#include "tests/bench/measure.h"

#include <gtest/gtest.h>

namespace berth::bench {
namespace {

TEST(MeasureTest, RatioIsMadeWithinATurn) {
  Measure measure("life", "ms", Better::kLower);
  measure.target = {Target::Of::kRatioAtLeast, 9};
  measure.AddTurn({1, 2, 3}, {20, 20, 200});
  measure.AddTurn({20}, {200});  // a slow moment of the machine: both are slow
  EXPECT_DOUBLE_EQ(measure.Ratio(0.5), 10);
  EXPECT_TRUE(measure.Reached());
  measure.target.value = 11;
  EXPECT_FALSE(measure.Reached());
}

TEST(MeasureTest, MoreIsBetterForRates) {
  Measure measure("lives", "1/s", Better::kHigher);
  measure.AddTurn({100}, {25});
  EXPECT_DOUBLE_EQ(measure.Ratio(0.5), 4);
}

TEST(MeasureTest, AFloorIsAnUpperBound) {
  Measure measure("life over the floor", "ms", Better::kLower);
  measure.target = {Target::Of::kRatioAtMost, 2.5};
  EXPECT_FALSE(measure.Reached()) << "what was not measured was not reached";
  measure.AddTurn({6}, {3});
  EXPECT_DOUBLE_EQ(measure.Ratio(0.5), 2);
  EXPECT_TRUE(measure.Reached());
}

TEST(MeasureTest, AMedianCanBeBounded) {
  Measure measure("shim", "KB", Better::kLower);
  measure.target = {Target::Of::kMedianAtMost, 350};
  EXPECT_FALSE(measure.Reached());
  measure.AddTurn({240, 250, 900}, {});
  EXPECT_TRUE(measure.Reached());
}

}  // namespace
}  // namespace berth::bench
