#include "server/events/event_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "proto/berth/events/v1/events.pb.h"
#include "proto/containerd/events/task.pb.h"
#include "server/events/exchange.h"

namespace berth {
namespace {

class EventLogTest : public testing::Test {
 protected:
  EventLogTest() : log_(Logger::ForTest(LogLevel::kFatal, LogFormat::kText, Ignore, nullptr)) {
    char name[] = "/tmp/berth-event-log-test-XXXXXX";
    options_.directory = ::mkdtemp(name);
    options_.boot_id = "boot-1";
  }
  ~EventLogTest() override {
    EXPECT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), options_.directory).ok());
  }
  static void Ignore(void*, absl::string_view) {}

  // A new daemon on the same files; the old one was killed unless Close was called.
  void Open() {
    events_.reset();
    auto opened = EventLog::Open(options_, log_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    events_ = *std::move(opened);
  }
  EventCursor Append(const std::string& topic) {
    EventEnvelope envelope;
    envelope.set_topic(topic);
    envelope.mutable_event()->set_value(std::string(payload_bytes_, 'x'));
    return events_->Append(envelope);
  }
  // Topics behind `after`, gaps as "gap:<reason>:<lost>".
  std::vector<std::string> ReadAll(EventCursor after, size_t limit_bytes = 1000) {
    std::vector<std::string> found;
    EventLog::Position position{.after = after};
    for (int i = 0; i < 1000; ++i) {
      auto batch = events_->Read(position, limit_bytes);
      EXPECT_TRUE(batch.ok()) << batch.status();
      if (!batch.ok()) return found;
      if (batch->gap.has_value()) {
        found.push_back(absl::StrCat("gap:", static_cast<int>(batch->gap->reason), ":",
                                     batch->gap->lost_events));
      }
      for (const LoggedEvent& event : batch->events) found.push_back(event.envelope->topic());
      if (batch->at_end) {
        EXPECT_EQ(position.after, events_->last());
        return found;
      }
    }
    ADD_FAILURE() << "reading does not end";
    return found;
  }
  std::vector<std::string> Files(const std::string& suffix = ".log") {
    auto directory = OpenFile(options_.directory, O_RDONLY | O_DIRECTORY);
    std::vector<std::string> names = *ListDirectory(*directory);
    std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string PathOf(const std::string& name) { return options_.directory + "/" + name; }
  using Topics = std::vector<std::string>;

  Logger log_;
  EventLog::Options options_;
  size_t payload_bytes_ = 10;
  std::unique_ptr<EventLog> events_;
};

TEST(EventCursorTest, IsTwoNumbers) {
  EXPECT_EQ((EventCursor{7, 42}.ToString()), "7-42");
  EXPECT_EQ(*EventCursor::Parse("7-42"), (EventCursor{7, 42}));
  for (const char* bad : {"", "7", "7-", "-7", "a-b", "7-42-1", "7--1"}) {
    EXPECT_EQ(EventCursor::Parse(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(EventLogTest, AKilledDaemonLosesNothingAndGoesOnNumbering) {
  Open();
  const EventCursor first = Append("/a");
  Append("/b");
  Open();
  const EventCursor third = Append("/c");
  EXPECT_EQ(third.epoch, first.epoch);
  EXPECT_EQ(third.sequence, first.sequence + 2);
  EXPECT_EQ(ReadAll(first), (Topics{"/b", "/c"}));
  EXPECT_EQ(ReadAll(events_->oldest()), (Topics{"/a", "/b", "/c"}));
  EXPECT_EQ(ReadAll(third), Topics());
}

TEST_F(EventLogTest, ARebootAfterACleanEndKeepsTheEpoch) {
  Open();
  const EventCursor first = Append("/a");
  events_->Close();
  options_.boot_id = "boot-2";
  Open();
  EXPECT_EQ(events_->last(), first);
  EXPECT_EQ(Append("/b").epoch, first.epoch);
  EXPECT_EQ(ReadAll({first.epoch, first.sequence - 1}), (Topics{"/a", "/b"}));
}

TEST_F(EventLogTest, AfterAPowerCutTheEpochRisesAndAReaderIsTold) {
  Open();
  const EventCursor first = Append("/a");
  Append("/b");
  const EventCursor lost = Append("/c");
  // The disk has the first two.
  const std::string path = PathOf(Files().back());
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  ASSERT_EQ(::truncate(path.c_str(), status.st_size - 5), 0);
  options_.boot_id = "boot-2";
  Open();
  const EventCursor next = Append("/d");
  EXPECT_EQ(next.epoch, first.epoch + 1);
  EXPECT_EQ(next.sequence, lost.sequence);  // its number alone would be taken for the lost one
  EXPECT_EQ(ReadAll(first), (Topics{"/b", "gap:1:0", "/d"}));
  EXPECT_EQ(ReadAll(lost), (Topics{"gap:1:0", "/d"}));
  EXPECT_EQ(ReadAll(next), Topics());
  // And it is told again after a clean restart, for the same boot and for another.
  events_->Close();
  Open();
  EXPECT_EQ(ReadAll(lost), (Topics{"gap:1:0", "/d"}));
  EXPECT_EQ(Append("/e").epoch, next.epoch);
}

TEST_F(EventLogTest, AWriteThatAKillCutShortIsForgotten) {
  Open();
  const EventCursor first = Append("/a");
  Append("/b");
  const std::string path = PathOf(Files().back());
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  ASSERT_EQ(::truncate(path.c_str(), status.st_size - 5), 0);
  Open();
  EXPECT_EQ(events_->last(), first);
  Append("/c");
  EXPECT_EQ(ReadAll(first), (Topics{"/c"}));
}

TEST_F(EventLogTest, DamageRaisesTheEpochAndAForeignFileIsMovedAside) {
  Open();
  const EventCursor first = Append("/a");
  Append("/b");
  {
    std::fstream file(PathOf(Files().back()), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-2, std::ios::end);
    file.put('y');
  }
  Open();
  EXPECT_EQ(events_->last(), (EventCursor{first.epoch + 1, first.sequence}));
  EXPECT_EQ(Append("/c").sequence, first.sequence + 1);
  EXPECT_EQ(ReadAll(first), (Topics{"gap:1:0", "/c"}));

  std::ofstream(PathOf("ffffffffffffffff-0000000000000001.log")) << "not ours";
  Open();
  EXPECT_EQ(Files(".broken").size(), 1u);
  EXPECT_EQ(events_->last().epoch, first.epoch + 2);
}

TEST_F(EventLogTest, ANewerVersionIsRefused) {
  Open();
  Append("/a");
  {
    std::fstream file(PathOf(Files().back()), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8);
    file.put(2);
  }
  EXPECT_EQ(EventLog::Open(options_, log_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EventLogTest, OldFilesGoBeyondTheBoundAndAReaderIsToldHowManyItMissed) {
  options_.segment_bytes = 1000;
  options_.retained_bytes = 3000;
  payload_bytes_ = 200;
  Open();
  const EventCursor first = Append("/first");
  for (int i = 0; i < 100; ++i) Append("/event");
  Append("/last");
  EXPECT_LE(Files().size(), 4u);
  EXPECT_GE(Files().size(), 2u);
  const uint64_t lost = events_->oldest().sequence - first.sequence;
  const Topics found = ReadAll(first);
  ASSERT_GE(found.size(), 5u);
  EXPECT_EQ(found.front(), absl::StrCat("gap:0:", lost));
  EXPECT_EQ(found.back(), "/last");
  EXPECT_EQ(found.size() - 1 + lost, 101u);
  Open();
  EXPECT_EQ(ReadAll(first), found);
}

TEST_F(EventLogTest, TheBoundOfEventsKeepsAtLeastAsMany) {
  options_.segment_bytes = 500;
  options_.retained_events = 20;
  Open();
  for (int i = 0; i < 200; ++i) Append("/event");
  const size_t kept = ReadAll(events_->oldest()).size();
  EXPECT_GE(kept, 20u);
  EXPECT_LE(kept, 40u);
}

TEST_F(EventLogTest, ACursorOfAnotherLogGetsAllThatIsKept) {
  Open();
  Append("/a");
  EXPECT_EQ(ReadAll({events_->last().epoch, 1000}), (Topics{"gap:3:0", "/a"}));
  EXPECT_EQ(ReadAll({events_->last().epoch + 1, 1}), (Topics{"gap:3:0", "/a"}));
}

TEST_F(EventLogTest, WhatCouldNotBeWrittenIsAHole) {
  Open();
  const EventCursor first = Append("/a");
  events_->Close();
  Append("/lost");
  EXPECT_EQ(ReadAll({first.epoch, first.sequence - 1}), (Topics{"/a", "gap:2:1"}));
}

TEST_F(EventLogTest, AReaderKeepsItsPlaceWhileItsFileGoes) {
  options_.segment_bytes = 1000;
  options_.retained_bytes = 2000;
  payload_bytes_ = 200;
  Open();
  EventLog::Position position{.after = events_->last()};
  Append("/a");
  Append("/b");
  auto batch = events_->Read(position, 1);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->events.size(), 1u);
  for (int i = 0; i < 50; ++i) Append("/event");
  batch = events_->Read(position, 1);
  ASSERT_TRUE(batch.ok());
  ASSERT_TRUE(batch->gap.has_value());
  EXPECT_EQ(batch->gap->reason, EventGap::Reason::kRetention);
  EXPECT_EQ(batch->gap->before.sequence, batch->gap->after.sequence + batch->gap->lost_events + 1);
}

TEST_F(EventLogTest, AnEventLargerThanAFileIsKept) {
  options_.segment_bytes = 1000;
  payload_bytes_ = 300'000;
  Open();
  const EventCursor before = events_->last();
  Append("/big");
  payload_bytes_ = 1;
  Append("/small");
  EXPECT_EQ(ReadAll(before), (Topics{"/big", "/small"}));
}

TEST_F(EventLogTest, SyncIsAskedForOncePerBatch) {
  Open();
  int asked = 0;
  events_->SetDirtyCallback([&asked] { ++asked; });
  Append("/a");
  Append("/b");
  EXPECT_EQ(asked, 1);
  events_->Sync();
  Append("/c");
  EXPECT_EQ(asked, 2);
}

// Topics that are queued, reading the log whenever the queue is empty.
std::vector<std::string> Drain(Subscription& subscription, absl::Status* end = nullptr) {
  std::vector<std::string> topics;
  while (true) {
    auto next = subscription.NextEvent();
    if (!next.ok()) {
      if (end != nullptr) *end = next.status();
      return topics;
    }
    if (next->envelope != nullptr) {
      topics.push_back(next->envelope->topic());
    } else if (subscription.IsBehind()) {
      subscription.CatchUp();
    } else {
      return topics;
    }
  }
}

class ResumeTest : public EventLogTest {
 protected:
  ResumeTest() { Open(); }
  void Publish(Exchange& exchange, const std::string& topic) {
    containerd::events::TaskExit exit;
    exit.set_id(std::string(payload_bytes_, 'x'));
    exchange.Publish("default", topic, exit);
  }
  const Exchange::Options small_{.logged_queued_events = 3};
};

TEST_F(ResumeTest, ASlowSubscriberReadsOnFromTheLogAndThenHearsLive) {
  Exchange exchange(small_, events_.get());
  auto slow = exchange.SubscribeFrom({"topic==\"/wanted\""}, std::nullopt,
                                     Subscription::GapPolicy::kEnd, [] {});
  ASSERT_TRUE(slow.ok());
  for (int i = 0; i < 50; ++i) {
    Publish(exchange, "/wanted");
    Publish(exchange, "/other");
  }
  EXPECT_EQ(Drain(**slow), Topics(50, "/wanted"));
  Publish(exchange, "/wanted");
  EXPECT_FALSE((*slow)->IsBehind());
  EXPECT_EQ(Drain(**slow), Topics(1, "/wanted"));
}

TEST_F(ResumeTest, OneThatWasAwayGetsWhatItMissedOnce) {
  EventCursor seen;
  {
    Exchange exchange({}, events_.get());
    auto subscription =
        exchange.SubscribeFrom({}, std::nullopt, Subscription::GapPolicy::kTell, [] {});
    Publish(exchange, "/a");
    seen = (*subscription)->NextEvent()->cursor;
    Publish(exchange, "/b");
  }
  Open();
  Exchange exchange({}, events_.get());
  Publish(exchange, "/c");
  auto subscription = exchange.SubscribeFrom({}, seen, Subscription::GapPolicy::kTell, [] {});
  ASSERT_TRUE(subscription.ok());
  Publish(exchange, "/d");
  EXPECT_EQ(Drain(**subscription), (Topics{"/b", "/c", "/d"}));
  Publish(exchange, "/e");
  EXPECT_EQ(Drain(**subscription), (Topics{"/e"}));
}

TEST_F(ResumeTest, BeyondTheBoundOneIsToldAndTheOtherEnded) {
  options_.segment_bytes = 1000;
  options_.retained_bytes = 2000;
  payload_bytes_ = 200;
  Open();
  Exchange exchange(small_, events_.get());
  auto resumes = exchange.SubscribeFrom({"topic==\"/event\""}, exchange.last(),
                                        Subscription::GapPolicy::kTell, [] {});
  auto plain = exchange.SubscribeFrom({}, std::nullopt, Subscription::GapPolicy::kEnd, [] {});
  ASSERT_TRUE(resumes.ok() && plain.ok());
  for (int i = 0; i < 50; ++i) Publish(exchange, "/event");
  const Topics told = Drain(**resumes);
  ASSERT_GT(told.size(), 5u);
  EXPECT_EQ(Topics(told.begin(), told.begin() + 4),
            (Topics{"/event", "/event", "/event", "/berth/events/gap"}));
  absl::Status end;
  EXPECT_EQ(Drain(**plain, &end).size(), 3u);
  EXPECT_EQ(end.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ResumeTest, WithoutALogACursorIsRefused) {
  Exchange exchange;
  EXPECT_EQ(exchange.SubscribeFrom({}, EventCursor{1, 1}, Subscription::GapPolicy::kTell, [] {})
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace berth
