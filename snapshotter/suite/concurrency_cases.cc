// Cases about callers that meet.
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/snapshotter_suite.h"

namespace berth::snapshots {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kThreads = 4;

void RunInThreads(const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

TEST_P(SnapshotterSuite, OfManyWhoWantAKeyOneGetsIt) {
  MakeCommitted("base", "", [](const std::string&) {});
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> prepared = 0;
    std::atomic<int> refused = 0;
    RunInThreads([&](int) {
      const auto mounts = snapshotter().Prepare("key", "base", {});
      mounts.ok() ? ++prepared : ++refused;
      EXPECT_TRUE(mounts.ok() || absl::IsAlreadyExists(mounts.status())) << mounts.status();
    });
    EXPECT_EQ(prepared, 1);
    EXPECT_EQ(refused, kThreads - 1);
    std::atomic<int> committed = 0;
    RunInThreads([&](int i) {
      const absl::Status status = snapshotter().Commit(absl::StrCat("r", round, " ", i), "key", {});
      if (status.ok()) ++committed;
      EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
    });
    EXPECT_EQ(committed, 1);
  }
  ASSERT_EQ(snapshotter().Cleanup(), absl::OkStatus());
  EXPECT_THAT(Directories("layers"), SizeIs(6));
  EXPECT_THAT(Directories("new"), IsEmpty());
}

TEST_P(SnapshotterSuite, AParentIsRemovedOrGetsItsChildButNeverBoth) {
  for (int round = 0; round < 8; ++round) {
    MakeCommitted("base", "", WriteFile("/x", "x"));
    std::atomic<int> children = 0;
    std::atomic<bool> removed = false;
    RunInThreads([&](int i) {
      if (i == 0) {
        const absl::Status status = snapshotter().Remove("base", {});
        removed = status.ok();
        EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
      } else {
        const auto mounts = snapshotter().Prepare(absl::StrCat("child ", i), "base", {});
        if (mounts.ok()) ++children;
        EXPECT_TRUE(mounts.ok() || absl::IsNotFound(mounts.status())) << mounts.status();
      }
    });
    EXPECT_NE(removed, children > 0);
    for (int i = 1; i < kThreads; ++i) {
      snapshotter().Remove(absl::StrCat("child ", i), {}).IgnoreError();  // some were refused
    }
    if (!removed) {
      EXPECT_TRUE(snapshotter().Remove("base", {}).ok());
    }
  }
  ASSERT_EQ(snapshotter().Cleanup(), absl::OkStatus());
  EXPECT_THAT(Directories("layers"), IsEmpty());
}

}  // namespace
}  // namespace berth::snapshots
