#include "shim/service/event_queue.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/ttrpc/server.h"
#include "gtest/gtest.h"
#include "proto/containerd/services/ttrpc/events/v1/events.pb.h"

namespace berth::service {
namespace {

using containerd::services::events::ttrpc::v1::ForwardRequest;

class EventQueueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = *Loop::Create();
    path_ = absl::StrCat(::testing::TempDir(), "/event_queue_test.", ::getpid(), ".sock");
    queue_ = std::make_unique<EventQueue>(*loop_, path_, "the-namespace");
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  // The daemon: keeps what it gets, and answers each event with `answer_`.
  void StartDaemon() {
    server_ = std::make_unique<ttrpc::Server>(*loop_);
    server_->Register("containerd.services.events.ttrpc.v1.Events", "Forward",
                      [this](ttrpc::Call call) {
                        ForwardRequest request;
                        EXPECT_TRUE(request.ParseFromString(call.payload()));
                        EXPECT_EQ(request.envelope().namespace_(), "the-namespace");
                        EXPECT_GT(request.envelope().timestamp().seconds(), 1600000000);
                        got_.push_back(request.envelope().topic());
                        if (answer_.ok()) return call.Reply("");
                        call.Reply(answer_);
                      });
    ASSERT_TRUE(server_->AddListener(*ListenUnix(path_, 0600, 8)).ok());
  }
  void Publish(absl::string_view topic, EventQueue::Weight weight = EventQueue::Weight::kNormal) {
    queue_->Publish(topic, "test.Event", "payload", weight,
                    [this, name = std::string(topic)] { acknowledged_.push_back(name); }, {});
  }
  template <typename Condition>
  bool RunUntil(Condition done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (!done() && absl::Now() < deadline) {
      EXPECT_TRUE(loop_->RunOnce(absl::Milliseconds(20)).ok());
    }
    return done();
  }

  std::unique_ptr<Loop> loop_;
  std::string path_;
  std::unique_ptr<ttrpc::Server> server_;
  std::unique_ptr<EventQueue> queue_;
  absl::Status answer_;
  std::vector<std::string> got_;
  std::vector<std::string> acknowledged_;
};

TEST_F(EventQueueTest, EventsArriveInOrderAndAreAcknowledged) {
  StartDaemon();
  for (const char* topic : {"/a", "/b", "/c"}) Publish(topic);
  EXPECT_TRUE(RunUntil([&] { return acknowledged_.size() == 3; }));
  EXPECT_EQ(got_, (std::vector<std::string>{"/a", "/b", "/c"}));
  EXPECT_EQ(acknowledged_, got_);
}

TEST_F(EventQueueTest, EventsWaitForADaemonThatIsAway) {
  Publish("/a");
  Publish("/b");
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
  StartDaemon();
  EXPECT_TRUE(RunUntil([&] { return acknowledged_.size() == 2; }));
  server_.reset();
  Publish("/c");
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
  StartDaemon();
  EXPECT_TRUE(RunUntil([&] { return acknowledged_.size() == 3; }));
  EXPECT_EQ(got_, (std::vector<std::string>{"/a", "/b", "/c"}));
}

TEST_F(EventQueueTest, EventThatIsRefusedAgainAndAgainIsGivenUp) {
  answer_ = absl::InvalidArgumentError("never");
  StartDaemon();
  Publish("/bad");
  ASSERT_TRUE(RunUntil([&] { return queue_->dropped() == 1; }));
  answer_ = absl::OkStatus();
  Publish("/good");
  ASSERT_TRUE(RunUntil([&] { return !acknowledged_.empty(); }));
  EXPECT_EQ(acknowledged_, std::vector<std::string>{"/good"});
}

TEST_F(EventQueueTest, FullQueueDropsTheOldestButNoExit) {
  Publish("/exit-0", EventQueue::Weight::kExit);
  for (size_t i = 0; i < kMaxQueued; ++i) Publish(absl::StrCat("/normal-", i));
  Publish("/exit-1", EventQueue::Weight::kExit);
  EXPECT_EQ(queue_->dropped(), 2u);
  StartDaemon();
  ASSERT_TRUE(RunUntil([&] { return got_.size() == kMaxQueued; }));
  EXPECT_EQ(got_.front(), "/exit-0");
  EXPECT_EQ(got_[1], "/normal-2");
  EXPECT_EQ(got_.back(), "/exit-1");
}

TEST_F(EventQueueTest, FlushEndsWhenTheQueueIsEmptyOrTheTimeIsOver) {
  bool flushed = false;
  Publish("/a");
  queue_->Flush(absl::Milliseconds(30), [&] { flushed = true; });
  EXPECT_TRUE(RunUntil([&] { return flushed; }));
  EXPECT_TRUE(acknowledged_.empty());
  flushed = false;
  queue_->Flush(absl::Minutes(10), [&] { flushed = true; });
  StartDaemon();
  EXPECT_TRUE(RunUntil([&] { return flushed; }));
  EXPECT_EQ(acknowledged_.size(), 1u);
}

TEST_F(EventQueueTest, WithoutADaemonNothingIsKept) {
  queue_ = std::make_unique<EventQueue>(*loop_, "", "ns");
  Publish("/a");
  bool flushed = false;
  queue_->Flush(absl::Minutes(10), [&] { flushed = true; });
  EXPECT_TRUE(RunUntil([&] { return flushed; }));
}

}  // namespace
}  // namespace berth::service
