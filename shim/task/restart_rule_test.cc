#include "shim/task/restart_rule.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace berth::task {
namespace {

using Mode = RestartPolicy::Mode;

RestartRule Rule(Mode mode, uint32_t maximum_retries = 0, uint32_t earlier = 0) {
  RestartRule rule;
  rule.SetPolicy({.mode = mode, .maximum_retries = maximum_retries}, earlier);
  return rule;
}

TEST(RestartRuleTest, PauseDoublesToAMinuteAndBeginsAnewAfterTenSeconds) {
  RestartRule rule = Rule(Mode::kAlways);
  absl::Duration expected = absl::Milliseconds(100);
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(rule.AfterExit(0, absl::Seconds(1), UserStopped::kNo), expected) << i;
    expected = std::min(expected * 2, absl::Minutes(1));
  }
  EXPECT_EQ(rule.AfterExit(0, absl::Seconds(10), UserStopped::kNo), absl::Milliseconds(100));
  EXPECT_EQ(rule.AfterExit(0, absl::Milliseconds(9999), UserStopped::kNo), absl::Milliseconds(200));
  EXPECT_EQ(rule.restarts(), 14u);
}

TEST(RestartRuleTest, OnFailureLooksAtTheStatusAndCounts) {
  RestartRule rule = Rule(Mode::kOnFailure, 2);
  EXPECT_FALSE(rule.AfterExit(0, absl::Seconds(1), UserStopped::kNo).has_value());
  EXPECT_TRUE(rule.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
  EXPECT_TRUE(rule.AfterExit(137, absl::Seconds(1), UserStopped::kNo).has_value());
  EXPECT_FALSE(rule.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
  RestartRule unlimited = Rule(Mode::kOnFailure);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(unlimited.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
  }
  RestartRule before = Rule(Mode::kOnFailure, 3, 2);
  EXPECT_TRUE(before.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
  EXPECT_FALSE(before.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
}

TEST(RestartRuleTest, NoPolicyAndAUserWhoStoppedItMeanNoRestart) {
  RestartRule none;
  EXPECT_FALSE(none.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
  for (const Mode mode : {Mode::kAlways, Mode::kUnlessStopped, Mode::kOnFailure}) {
    RestartRule rule = Rule(mode);
    EXPECT_FALSE(rule.AfterExit(1, absl::Seconds(1), UserStopped::kYes).has_value());
    EXPECT_TRUE(rule.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
    EXPECT_EQ(rule.restarts(), 1u);
  }
}

TEST(RestartRuleTest, ChangedPolicyKeepsTheCount) {
  RestartRule rule = Rule(Mode::kAlways);
  EXPECT_TRUE(rule.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
  rule.SetPolicy({.mode = Mode::kOnFailure, .maximum_retries = 1}, 0);
  EXPECT_FALSE(rule.AfterExit(1, absl::Seconds(1), UserStopped::kNo).has_value());
}

TEST(RestartRuleTest, AnotherRuleGoesOnWithThePauseAndTheCount) {
  RestartRule first = Rule(Mode::kAlways);
  for (int i = 0; i < 3; ++i) (void)first.AfterExit(1, absl::Seconds(1), UserStopped::kNo);
  RestartRule second = Rule(Mode::kAlways);
  second.Resume(first.backoff(), first.restarts());
  EXPECT_EQ(second.AfterExit(1, absl::Seconds(1), UserStopped::kNo),
            first.AfterExit(1, absl::Seconds(1), UserStopped::kNo));
  EXPECT_EQ(second.restarts(), 4u);
}

}  // namespace
}  // namespace berth::task
