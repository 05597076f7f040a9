#include "snapshotter/erofs/erofs_snapshotter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/erofs/image_mount.h"
#include "snapshotter/suite/fixture.h"
#include "snapshotter/suite/snapshotter_suite.h"

namespace berth::snapshots {
namespace {

absl::StatusOr<std::unique_ptr<Snapshotter>> Open(const std::string& root,
                                                  sqlite::Database& database) {
  return OpenErofsSnapshotter({.root = root}, database);
}

INSTANTIATE_TEST_SUITE_P(Erofs, SnapshotterSuite, testing::Values(SuiteBackend{"erofs", Open}),
                         [](const auto& info) { return info.param.name; });

class ErofsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { EnterPrivateMountNamespace(); }
  void SetUp() override {
    auto database = OpenLayerDatabase(files_.Sub("metadata.db"));
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    Reopen();
  }
  void Reopen() {
    if (snapshotter_ != nullptr) {
      ASSERT_TRUE(snapshotter_->Close().ok());
    }
    snapshotter_.reset();
    auto opened = Open(files_.Sub("root"), *database_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    snapshotter_ = *std::move(opened);
  }
  // The directory of the layer that an active snapshot without parent was prepared in.
  std::string Prepare(const std::string& key) {
    const auto mounts = snapshotter_->Prepare(key, "", {});
    EXPECT_TRUE(mounts.ok()) << mounts.status();
    const std::string& source = mounts->front().source;
    return source.substr(0, source.size() - std::string("/fs").size());
  }
  static void Write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  static bool Exists(const std::string& path) {
    struct stat info;
    return ::lstat(path.c_str(), &info) == 0;
  }
  // What a view of `name` shows as `file`.
  std::string ReadThrough(const std::string& name, const std::string& file) {
    const auto mounts = snapshotter_->View("view", name, {});
    EXPECT_TRUE(mounts.ok()) << mounts.status();
    std::string text;
    {
      const MountedSnapshot mounted(*mounts, files_.MakeEmpty());
      EXPECT_TRUE(mounted.status().ok()) << mounted.status();
      std::ifstream(mounted.path() + "/" + file) >> text;
    }
    EXPECT_TRUE(snapshotter_->Remove("view", {}).ok());
    return text;
  }

  TestDirectory files_;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<Snapshotter> snapshotter_;
};

TEST_F(ErofsTest, ALayerThatIsShownWhileItIsRemovedLeavesNoMount) {
  const std::string layer = Prepare("key");
  Write(layer + "/fs/x", "x");
  ASSERT_EQ(snapshotter_->Commit("base", "key", {}), absl::OkStatus());
  EXPECT_EQ(ReadThrough("base", "x"), "x");
  ASSERT_TRUE(*erofs::IsMounted(layer + "/fs"));
  // As its removal moves it.
  const std::string removed = absl::StrCat(files_.Sub("root"), "/removed/gone");
  ASSERT_EQ(::rename(layer.c_str(), removed.c_str()), 0);
  EXPECT_EQ(snapshotter_->Cleanup(), absl::OkStatus());
  EXPECT_FALSE(Exists(removed));
}

TEST_F(ErofsTest, ACommittedLayerIsOneImageAndNothingElse) {
  const std::string layer = Prepare("key");
  Write(layer + "/fs/file", "one");
  ASSERT_TRUE(snapshotter_->Commit("base", "key", {}).ok());
  EXPECT_TRUE(Exists(layer + "/layer.erofs"));
  EXPECT_FALSE(Exists(layer + "/commit.erofs"));
  EXPECT_FALSE(Exists(layer + "/fs/file"));  // not yet shown
  EXPECT_EQ(ReadThrough("base", "file"), "one");
  EXPECT_TRUE(*erofs::IsMounted(layer + "/fs"));
  const auto usage = snapshotter_->GetUsage("base");
  ASSERT_TRUE(usage.ok());
  EXPECT_EQ(usage->inodes, 2);
  EXPECT_GE(usage->size_bytes, 4096);
  ASSERT_TRUE(snapshotter_->Remove("base", {}).ok());
  EXPECT_FALSE(Exists(layer));
  EXPECT_TRUE(snapshotter_->Cleanup().ok());
}

TEST_F(ErofsTest, ACommitThatFailsLeavesTheSnapshotAsItWas) {
  const std::string layer = Prepare("key");
  Write(layer + "/fs/file", "early");
  const auto refuse = [](sqlite::Connection&) { return absl::AbortedError("not now"); };
  EXPECT_EQ(snapshotter_->Commit("base", "key", {.also = refuse}).code(),
            absl::StatusCode::kAborted);
  ASSERT_TRUE(Exists(layer + "/fs/file"));
  Write(layer + "/fs/file", "late");
  ASSERT_TRUE(snapshotter_->Commit("base", "key", {}).ok());
  EXPECT_EQ(ReadThrough("base", "file"), "late");
}

TEST_F(ErofsTest, ACrashAfterTheRecordOfACommitIsMadeGoodWhenTheLayerIsShown) {
  const std::string layer = Prepare("key");
  Write(layer + "/fs/file", "text");
  ASSERT_TRUE(snapshotter_->Commit("base", "key", {}).ok());
  // As if nothing had been done after the record.
  ASSERT_EQ(::rename((layer + "/layer.erofs").c_str(), (layer + "/commit.erofs").c_str()), 0);
  Write(layer + "/fs/left", "over");
  Reopen();
  EXPECT_EQ(ReadThrough("base", "file"), "text");
  EXPECT_EQ(ReadThrough("base", "left"), "");
  EXPECT_TRUE(Exists(layer + "/layer.erofs"));
}

TEST_F(ErofsTest, ALayerThatWasUnmountedIsMountedAgain) {
  const std::string layer = Prepare("key");
  Write(layer + "/fs/file", "text");
  ASSERT_TRUE(snapshotter_->Commit("base", "key", {}).ok());
  ASSERT_TRUE(snapshotter_->Prepare("top", "base", {}).ok());
  ASSERT_TRUE(erofs::Unmount(layer + "/fs").ok());  // as a boot does
  Reopen();
  const auto mounts = snapshotter_->Mounts("top");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  EXPECT_TRUE(*erofs::IsMounted(layer + "/fs"));
}

TEST_F(ErofsTest, ADamagedImageIsNotMounted) {
  const std::string layer = Prepare("key");
  ASSERT_TRUE(snapshotter_->Commit("base", "key", {}).ok());
  std::fstream(layer + "/layer.erofs", std::ios::in | std::ios::out).seekp(1024).write("none", 4);
  EXPECT_FALSE(snapshotter_->View("view", "base", {}).ok());
}

}  // namespace
}  // namespace berth::snapshots
