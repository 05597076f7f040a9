// Cases about what a crash or a power cut can leave between two steps.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/snapshotter_suite.h"
#include "snapshotter/suite/tree_compare.h"

namespace berth::snapshots {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_P(SnapshotterSuite, EverythingIsThereAfterARestart) {
  MakeCommitted("base", "", WriteFile("/x", "x"));
  const auto before = snapshotter().Prepare("key", "base", {.labels = {{"a", "b"}}});
  ASSERT_TRUE(before.ok()) << before.status();
  Reopen();
  const auto after = snapshotter().Mounts("key");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->front().options, before->front().options);
  EXPECT_EQ(snapshotter().Stat("key")->labels, (Labels{{"a", "b"}}));
  const std::string flat = files().MakeEmpty();
  WriteFile("/x", "x")(flat);
  EXPECT_EQ(DescribeSnapshot("base"), DescribeTree(flat));
}

TEST_P(SnapshotterSuite, ALayerWithoutARecordIsQuarantinedAndAnEmptyOneRemoved) {
  ASSERT_TRUE(snapshotter().Prepare("kept", "", {}).ok());
  const std::vector<std::string> kept = Directories("layers");
  const std::string layers = root() + "/layers";
  All({MakeDir("/orphan", 0700), MakeDir("/orphan/fs", 0755), WriteFile("/orphan/fs/file", "data"),
       MakeDir("/empty", 0700), MakeDir("/empty/fs", 0755)})(layers);
  MakeDir("/unfinished", 0700)(root() + "/new");
  Reopen();
  ASSERT_TRUE(snapshotter().Cleanup().ok());
  EXPECT_EQ(Directories("layers"), kept);
  EXPECT_THAT(Directories("quarantine"), ElementsAre("orphan"));
  EXPECT_THAT(Directories("new"), IsEmpty());
  EXPECT_THAT(Directories("removed"), IsEmpty());

  // A day later it goes.
  struct timespec old_times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root() + "/quarantine/orphan").c_str(), old_times, 0), 0);
  Reopen();
  ASSERT_TRUE(snapshotter().Cleanup().ok());
  EXPECT_THAT(Directories("quarantine"), IsEmpty());
  EXPECT_THAT(Directories("removed"), IsEmpty());
}

TEST_P(SnapshotterSuite, ALayerWhoseRemovalWasNotDurableComesBack) {
  MakeCommitted("base", "", WriteFile("/x", "x"));
  const std::string id = Directories("layers").front();
  for (const char* place : {"/removed/", "/quarantine/"}) {
    ASSERT_TRUE(snapshotter().Close().ok());
    ASSERT_EQ(::rename((root() + "/layers/" + id).c_str(), (root() + place + id).c_str()), 0);
    Reopen();
    const std::string flat = files().MakeEmpty();
    WriteFile("/x", "x")(flat);
    EXPECT_EQ(DescribeSnapshot("base"), DescribeTree(flat)) << place;
  }
}

TEST_P(SnapshotterSuite, AnActiveLayerThatNeverReachedTheDiskIsMadeAgain) {
  MakeCommitted("base", "", WriteFile("/x", "x"));
  const std::string base = Directories("layers").front();
  ASSERT_TRUE(snapshotter().Prepare("key", "base", {}).ok());
  for (const std::string& id : Directories("layers")) {
    if (id != base) RemoveAll("/" + id)(root() + "/layers");
  }
  Reopen();
  const auto mounts = snapshotter().Mounts("key");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  const MountedSnapshot mounted(*mounts, files().MakeEmpty());
  ASSERT_TRUE(mounted.status().ok()) << mounted.status();
  EXPECT_EQ(ReadFile(mounted.path() + "/x").value_or("missing"), "x");
  WriteFile("/y", "y")(mounted.path());
}

TEST_P(SnapshotterSuite, ALostCommittedLayerIsSaidToBeLost) {
  MakeCommitted("base", "", WriteFile("/x", "x"));
  RemoveAll("/" + Directories("layers").front())(root() + "/layers");
  Reopen();
  const auto prepared = snapshotter().Prepare("key", "base", {});
  EXPECT_FALSE(prepared.ok());
  const auto view = snapshotter().View("view", "base", {});
  ASSERT_EQ(view.status().code(), absl::StatusCode::kDataLoss) << view.status();
  EXPECT_THAT(std::string(view.status().message()), ::testing::HasSubstr("unpack the image again"));
}

}  // namespace
}  // namespace berth::snapshots
