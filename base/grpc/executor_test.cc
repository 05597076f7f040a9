#include "base/grpc/executor.h"

#include <atomic>
#include <utility>

#include "base/os/mutex.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(ExecutorTest, StopRunsEveryAcceptedTask) {
  std::atomic<int> ran{0};
  Executor executor(2, 100);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(executor.Post([&ran] { ++ran; }));
  executor.Stop();
  EXPECT_EQ(ran, 50);
}

TEST(ExecutorTest, RefusesWhenTheQueueIsFullButTakesContinuations) {
  Executor executor(1, 2);
  Notification running, release;
  ASSERT_TRUE(executor.Post([&] {
    running.Notify();
    release.WaitForNotification();
  }));
  running.WaitForNotification();
  std::atomic<int> ran{0};
  EXPECT_TRUE(executor.Post([&ran] { ++ran; }));
  EXPECT_TRUE(executor.Post([&ran] { ++ran; }));
  EXPECT_FALSE(executor.Post([&ran] { ++ran; }));
  executor.PostContinuation([&ran] { ++ran; });
  release.Notify();
  executor.Stop();
  EXPECT_EQ(ran, 3);
}

TEST(ExecutorTest, AfterStopPostIsRefusedAndContinuationsRunInPlace) {
  Executor executor(1, 2);
  executor.Stop();
  EXPECT_FALSE(executor.Post([] {}));
  bool ran = false;
  executor.PostContinuation([&ran] { ran = true; });
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace berth
