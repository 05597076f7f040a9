#include "base/loop/loop.h"

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/os/fd_factories.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = Loop::Create();
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }
  Pipe FullPipe() {
    Pipe pipe = *MakePipe(O_NONBLOCK);
    EXPECT_EQ(::write(pipe.write.get(), "x", 1), 1);
    return pipe;
  }
  std::unique_ptr<Loop> loop_;
};

TEST_F(LoopTest, ReadableDescriptorCallsItsHandlerWithTheEvents) {
  Pipe pipe = FullPipe();
  uint32_t seen = 0;
  auto watch = loop_->Watch(pipe.read, EPOLLIN, [&](uint32_t events) { seen = events; });
  ASSERT_TRUE(watch.ok());
  ASSERT_TRUE(loop_->RunOnce(absl::Seconds(5)).ok());
  EXPECT_EQ(seen, uint32_t{EPOLLIN});
}

TEST_F(LoopTest, HandlerMayDestroyItsOwnWatch) {
  Pipe pipe = FullPipe();
  int calls = 0;
  FdWatch watch;
  // The capture outlives the watch's destruction inside the call: the string is read after it.
  watch = *loop_->Watch(pipe.read, EPOLLIN, [&, text = std::string(100, 'a')](uint32_t) {
    watch.Reset();
    calls += text.size() == 100 && text[99] == 'a' ? 1 : 100;
  });
  ASSERT_TRUE(loop_->RunOnce(absl::Seconds(5)).ok());
  ASSERT_TRUE(loop_->RunOnce(absl::ZeroDuration()).ok());
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, HandlerThatDestroysAnotherWatchSilencesItsPendingEvent) {
  Pipe pipes[2] = {FullPipe(), FullPipe()};
  FdWatch watches[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    watches[i] = *loop_->Watch(pipes[i].read, EPOLLIN, [&, i](uint32_t) {
      ++calls;
      watches[1 - i].Reset();
    });
  }
  ASSERT_TRUE(loop_->RunOnce(absl::Seconds(5)).ok());
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, ZeroEventsSilenceAHangUpAndCanBeUndone) {
  Pipe pipe = *MakePipe(O_NONBLOCK);
  int calls = 0;
  FdWatch watch = *loop_->Watch(pipe.read, EPOLLIN, [&](uint32_t) { ++calls; });
  ASSERT_TRUE(watch.SetEvents(0).ok());
  pipe.write.Reset();
  ASSERT_TRUE(loop_->RunOnce(absl::ZeroDuration()).ok());
  EXPECT_EQ(calls, 0);
  ASSERT_TRUE(watch.SetEvents(EPOLLIN).ok());
  ASSERT_TRUE(loop_->RunOnce(absl::Seconds(5)).ok());
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, RegularFileIsRefused) {
  UniqueFd file = *OpenFile("/proc/self/exe", O_RDONLY);
  EXPECT_EQ(loop_->Watch(file, EPOLLIN, [](uint32_t) {}).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(LoopTest, TimersFireInOrderOfTheirDueTimeAndCancelledOnesDoNot) {
  std::vector<int> fired;
  loop_->After(absl::Milliseconds(20), [&] {
    fired.push_back(2);
    loop_->Stop();
  });
  loop_->After(absl::Milliseconds(1), [&] { fired.push_back(1); });
  const TimerId cancelled = loop_->After(absl::Milliseconds(2), [&] { fired.push_back(9); });
  loop_->After(absl::InfiniteDuration(), [&] { fired.push_back(8); });
  loop_->Cancel(cancelled);
  loop_->Cancel(TimerId::kNone);
  ASSERT_TRUE(loop_->Run().ok());
  EXPECT_EQ(fired, (std::vector<int>{1, 2}));
}

TEST_F(LoopTest, TimerMayCancelAnotherThatIsDueInTheSameRound) {
  int fired = 0;
  TimerId second = TimerId::kNone;
  loop_->After(absl::ZeroDuration(), [&] {
    ++fired;
    loop_->Cancel(second);
  });
  second = loop_->After(absl::ZeroDuration(), [&] { ++fired; });
  ASSERT_TRUE(loop_->RunOnce(absl::Seconds(5)).ok());
  ASSERT_TRUE(loop_->RunOnce(absl::ZeroDuration()).ok());
  EXPECT_EQ(fired, 1);
}

TEST_F(LoopTest, FunctionsPostedByAnotherThreadRunOnTheLoopInOrder) {
  std::vector<int> ran;
  std::thread::id where;
  std::thread poster([&] {
    for (int i = 0; i < 100; ++i) loop_->Post([&, i] { ran.push_back(i); });
    loop_->Post([&] {
      where = std::this_thread::get_id();
      loop_->Stop();
    });
  });
  ASSERT_TRUE(loop_->Run().ok());
  poster.join();
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[i], i);
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST_F(LoopTest, PostedFunctionThatPostsAgainDoesNotStarveDescriptors) {
  Pipe pipe = FullPipe();
  int posts = 0;
  std::function<void()> again = [&] {
    if (++posts < 1000) loop_->Post(again);
  };
  loop_->Post(again);
  int posts_at_event = -1;
  FdWatch watch = *loop_->Watch(pipe.read, EPOLLIN, [&](uint32_t) {
    posts_at_event = posts;
    loop_->Stop();
  });
  ASSERT_TRUE(loop_->Run().ok());
  EXPECT_GE(posts_at_event, 0);
  EXPECT_LT(posts_at_event, 10);
}

TEST_F(LoopTest, DestroyingTheLoopDestroysWhatNeverRan) {
  auto held = std::make_shared<int>(1);
  loop_->Post([held] {});
  loop_->After(absl::Hours(1), [held] {});
  EXPECT_EQ(held.use_count(), 3);
  loop_.reset();
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace berth
