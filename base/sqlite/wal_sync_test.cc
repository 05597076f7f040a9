#include "base/sqlite/wal_sync.h"

#include <fcntl.h>

#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "base/os/fd_factories.h"
#include "gtest/gtest.h"

namespace berth::sqlite {
namespace {

TEST(WalSyncTest, OneSyncCoversEveryCommitBeforeIt) {
  auto file = OpenFile(testing::TempDir(), O_TMPFILE | O_RDWR, 0600);
  ASSERT_TRUE(file.ok()) << file.status();
  WalSync sync(*std::move(file), "log");
  const uint64_t first = sync.Committed();
  const uint64_t second = sync.Committed();
  EXPECT_EQ(sync.last_synced(), 0u);
  EXPECT_TRUE(sync.SyncTo(first).ok());
  EXPECT_EQ(sync.last_synced(), second);
  EXPECT_TRUE(sync.SyncTo(second).ok());
}

TEST(WalSyncTest, ManyWaitersAllReturn) {
  auto file = OpenFile(testing::TempDir(), O_TMPFILE | O_RDWR, 0600);
  ASSERT_TRUE(file.ok()) << file.status();
  WalSync sync(*std::move(file), "log");
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n) {
        const uint64_t commit = sync.Committed();
        EXPECT_TRUE(sync.SyncTo(commit).ok());
        EXPECT_GE(sync.last_synced(), commit);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// fdatasync of a pipe fails with EINVAL, as an I/O error would with EIO.
TEST(WalSyncTest, AFailedSyncIsReportedAndStays) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  WalSync sync(std::move(pipe->write), "/var/lib/x-wal");
  EXPECT_TRUE(sync.Broken().ok());
  const absl::Status status = sync.SyncTo(sync.Committed());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(absl::StrContains(status.message(), "fdatasync \"/var/lib/x-wal\"")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "restart the daemon")) << status;
  EXPECT_EQ(sync.Broken(), status);
  EXPECT_EQ(sync.last_synced(), 0u);
}

}  // namespace
}  // namespace berth::sqlite
