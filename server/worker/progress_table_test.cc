#include "server/worker/progress_table.h"

#include <fcntl.h>

#include <atomic>
#include <string>
#include <thread>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "server/worker/follow_source.h"

namespace berth::worker {
namespace {

class ProgressTableTest : public testing::Test {
 protected:
  std::unique_ptr<ProgressTable> table_ = *ProgressTable::Create();
  // What another process has: the same memory, mapped again.
  std::unique_ptr<ProgressTable> other_ = *ProgressTable::Map(*DupFd(table_->fd()));
};

TEST_F(ProgressTableTest, WhatOneSideSaysTheOtherReads) {
  table_->Begin(7);
  other_->Advance(7, 10, 100);
  const Progress progress = table_->Read(7);
  EXPECT_EQ(progress.offset, 10u);
  EXPECT_EQ(progress.total, 100u);
  EXPECT_EQ(progress.state, ProgressState::kRunning);
  other_->End(7, ProgressState::kDone);
  EXPECT_EQ(table_->Read(7).state, ProgressState::kDone);
  EXPECT_EQ(table_->Read(8).state, ProgressState::kIdle);
  table_->Begin(7);
  EXPECT_EQ(table_->Read(7).offset, 0u);
}

TEST_F(ProgressTableTest, NumbersBeyondTheTableAreNobodys) {
  for (uint32_t slot : {0u, kProgressSlots, 0xffffffffu}) {
    table_->Begin(slot);
    table_->Advance(slot, 1, 1);
    EXPECT_EQ(table_->Read(slot).state, ProgressState::kIdle);
  }
}

TEST_F(ProgressTableTest, AWaiterIsWokenAndGivesUpInTime) {
  table_->Begin(1);
  EXPECT_EQ(table_->Wait(1, 0, absl::Milliseconds(10)).offset, 0u);
  std::thread writer([&] { other_->Advance(1, 5, 5); });
  EXPECT_EQ(table_->Wait(1, 0, absl::Seconds(30)).offset, 5u);
  writer.join();
}

TEST_F(ProgressTableTest, AFollowerSeesWhatWasDeclaredAndNoMore) {
  char name[] = "/tmp/berth-follow-XXXXXX";
  const UniqueFd file(::mkstemp(name));
  ::unlink(name);
  const std::string bytes(300000, 'x');
  std::atomic<bool> cancelled{false};
  table_->Begin(2);
  std::thread writer([&] {
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      ASSERT_EQ(::pwrite(file.get(), bytes.data() + at, 1000, static_cast<off_t>(at)), 1000);
      other_->Advance(2, at + 1000, 0);
    }
    // Behind the declared end: a resumed upload may hold such bytes.
    ASSERT_EQ(::pwrite(file.get(), "y", 1, static_cast<off_t>(bytes.size())), 1);
    other_->End(2, ProgressState::kDone);
  });
  FollowSource source(file, *table_, 2, cancelled);
  std::string got;
  char buffer[4096];
  for (;;) {
    const absl::StatusOr<size_t> count = source.Read(buffer, sizeof(buffer));
    ASSERT_TRUE(count.ok()) << count.status();
    if (*count == 0) break;
    got.append(buffer, *count);
  }
  writer.join();
  EXPECT_EQ(got, bytes);
}

TEST_F(ProgressTableTest, AFollowerEndsWithItsFetchAndWhenCancelled) {
  const UniqueFd file = *OpenFile("/dev/null", O_RDONLY);
  std::atomic<bool> cancelled{false};
  char buffer[16];
  table_->Begin(3);
  std::thread failing([&] { other_->End(3, ProgressState::kFailed); });
  FollowSource failed(file, *table_, 3, cancelled);
  EXPECT_EQ(failed.Read(buffer, sizeof(buffer)).status().code(), absl::StatusCode::kAborted);
  failing.join();
  table_->Begin(3);
  cancelled = true;
  FollowSource stopped(file, *table_, 3, cancelled);
  EXPECT_EQ(stopped.Read(buffer, sizeof(buffer)).status().code(), absl::StatusCode::kCancelled);
  // A liar's offset: the file has less.
  cancelled = false;
  table_->Advance(3, 100, 100);
  EXPECT_EQ(stopped.Read(buffer, sizeof(buffer)).status().code(), absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace berth::worker
