#include "server/engine/log_watch.h"

#include <stdlib.h>

#include <fstream>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace berth::engine {
namespace {

class LogWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/log-watch-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    loop_ = *Loop::Create();
    watch_ = std::make_unique<LogWatch>(*loop_);
  }
  void Write() { std::ofstream(directory_ + "/file", std::ios::app) << "x"; }
  // Runs the loop until `calls` have come or a second has passed without one.
  void RunUntil(int calls) {
    for (int round = 0; calls_ < calls && round < 20; ++round) {
      ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
    }
  }
  LogWatch::Ticket Add(const std::string& directory) {
    return watch_->Add(directory, [this] { ++calls_; });
  }

  std::string directory_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<LogWatch> watch_;
  int calls_ = 0;
};

TEST_F(LogWatchTest, AWriteIsToldAndSilenceIsNot) {
  Add(directory_);
  RunUntil(1);
  EXPECT_EQ(calls_, 1);  // the call after Add
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(300)).ok());
  EXPECT_EQ(calls_, 1);
  Write();
  RunUntil(2);
  EXPECT_GE(calls_, 2);
}

TEST_F(LogWatchTest, TwoFollowersOfOneDirectoryAreBothToldAndOneMayGo) {
  const LogWatch::Ticket first = Add(directory_);
  Add(directory_);
  RunUntil(2);
  watch_->Remove(first);
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
  const int before = calls_;
  Write();
  RunUntil(before + 1);
  EXPECT_GT(calls_, before);
}

TEST_F(LogWatchTest, ADirectoryThatCannotBeWatchedIsLookedAtInIntervals) {
  Add(directory_ + "/none");
  RunUntil(3);
  EXPECT_GE(calls_, 3);
}

}  // namespace
}  // namespace berth::engine
