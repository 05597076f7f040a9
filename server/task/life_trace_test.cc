#include "server/task/life_trace.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

std::string Steps(const LifeTrace& trace, const TaskKey& key) {
  std::string text;
  for (const LifeTrace::Span& span : trace.Of(key)) absl::StrAppend(&text, span.step, ";");
  return text;
}

TEST(LifeTraceTest, StepsFollowEachOther) {
  LifeTrace trace;
  const TaskKey key{"ns", "a"};
  trace.Begin(key);
  StepClock clock(trace, key, "Tasks.Create");
  clock.Ended("one");
  clock.Ended("two");
  const auto spans = trace.Of(key);
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_STREQ(spans[0].call, "Tasks.Create");
  EXPECT_EQ(spans[0].began_at + spans[0].took, spans[1].began_at);
  EXPECT_GE(spans[1].took, absl::ZeroDuration());
}

TEST(LifeTraceTest, ANewTaskOfTheSameNameBeginsAnew) {
  LifeTrace trace;
  const TaskKey key{"ns", "a"};
  StepClock(trace, key, "Tasks.Start").Ended("unknown");
  EXPECT_EQ(Steps(trace, key), "");
  trace.Begin(key);
  StepClock(trace, key, "Tasks.Create").Ended("old");
  trace.Begin(key);
  StepClock(trace, key, "Tasks.Create").Ended("new");
  EXPECT_EQ(Steps(trace, key), "new;");
}

TEST(LifeTraceTest, IsBounded) {
  LifeTrace trace;
  const auto key = [](size_t i) { return TaskKey{"ns", absl::StrCat(i)}; };
  for (size_t i = 0; i <= LifeTrace::kTasks; ++i) {
    trace.Begin(key(i));
    for (size_t j = 0; j < 2 * LifeTrace::kSpans; ++j) {
      StepClock(trace, key(i), "Tasks.Create").Ended("x");
    }
  }
  EXPECT_EQ(trace.Of(key(0)).size(), 0u);
  EXPECT_EQ(trace.Of(key(1)).size(), LifeTrace::kSpans);
  EXPECT_EQ(trace.Of(key(LifeTrace::kTasks)).size(), LifeTrace::kSpans);
}

}  // namespace
}  // namespace berth
