#include "snapshotter/overlay/overlay_snapshotter.h"

#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/fixture.h"
#include "snapshotter/suite/snapshotter_suite.h"

namespace berth::snapshots {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

absl::StatusOr<std::unique_ptr<Snapshotter>> Open(const std::string& root,
                                                  sqlite::Database& database) {
  return OpenOverlaySnapshotter({.root = root, .mount_options = {}}, database);
}

INSTANTIATE_TEST_SUITE_P(Overlay, SnapshotterSuite, testing::Values(SuiteBackend{"overlay", Open}),
                         [](const auto& info) { return info.param.name; });

class OverlayMountsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = OpenLayerDatabase(files_.Sub("metadata.db"));
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    auto opened = Open(files_.Sub("root"), *database_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    snapshotter_ = *std::move(opened);
    ASSERT_TRUE(snapshotter_->Prepare("a", "", {}).ok());
    ASSERT_TRUE(snapshotter_->Commit("one", "a", {}).ok());
    one_ = LayerOf("one");
  }

  // The directory of committed `name`, as a view of it shows.
  std::string LayerOf(const std::string& name) {
    const auto mounts = snapshotter_->Prepare("probe", name, {});
    EXPECT_TRUE(mounts.ok()) << mounts.status();
    std::string lower = mounts->front().options.back();
    EXPECT_TRUE(snapshotter_->Remove("probe", {}).ok());
    return lower.substr(std::string("lowerdir=").size());
  }

  TestDirectory files_;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::string one_;
};

TEST_F(OverlayMountsTest, WithoutAParentItIsABindMount) {
  const auto active = snapshotter_->Prepare("key", "", {});
  ASSERT_TRUE(active.ok()) << active.status();
  ASSERT_EQ(active->size(), 1u);
  EXPECT_EQ(active->front().type, "bind");
  EXPECT_THAT(active->front().source, StartsWith(files_.Sub("root/layers/")));
  EXPECT_THAT(active->front().options, ElementsAre("rw", "rbind"));
  const auto view = snapshotter_->View("view", "", {});
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_THAT(view->front().options, ElementsAre("ro", "rbind"));
}

TEST_F(OverlayMountsTest, AViewOfOneLayerIsThatLayer) {
  const auto view = snapshotter_->View("view", "one", {});
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->front().type, "bind");
  EXPECT_EQ(view->front().source, one_);
  EXPECT_THAT(view->front().options, ElementsAre("ro", "rbind"));
}

TEST_F(OverlayMountsTest, LayersAreListedFromTheTop) {
  ASSERT_TRUE(snapshotter_->Prepare("b", "one", {}).ok());
  ASSERT_TRUE(snapshotter_->Commit("two", "b", {}).ok());
  const auto active = snapshotter_->Prepare("key", "two", {});
  ASSERT_TRUE(active.ok()) << active.status();
  const Mount& mount = active->front();
  EXPECT_EQ(mount.type, "overlay");
  EXPECT_EQ(mount.source, "overlay");
  ASSERT_EQ(mount.options.size(), 4u);
  EXPECT_EQ(mount.options[0], "index=off");
  EXPECT_THAT(mount.options[1], StartsWith("workdir=" + files_.Sub("root/layers/")));
  EXPECT_THAT(mount.options[2], StartsWith("upperdir=" + files_.Sub("root/layers/")));
  EXPECT_THAT(mount.options[3], StartsWith("lowerdir="));
  EXPECT_EQ(mount.options[3].substr(mount.options[3].find(':') + 1), one_);

  const auto view = snapshotter_->View("view", "two", {});
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_THAT(view->front().options, ElementsAre("index=off", mount.options[3]));
}

TEST_F(OverlayMountsTest, MapsOfIdsOwnTheRoot) {
  const Labels labels = {{"containerd.io/snapshot/uidmapping", "0:100000:65536"},
                         {"containerd.io/snapshot/gidmapping", "0:200000:1,1:300000:10"}};
  const auto active = snapshotter_->Prepare("key", "one", {.labels = labels});
  ASSERT_TRUE(active.ok()) << active.status();
  int uppers = 0;
  for (absl::string_view option : active->front().options) {
    if (!absl::ConsumePrefix(&option, "upperdir=")) continue;
    ++uppers;
    struct stat info;
    ASSERT_EQ(::stat(std::string(option).c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, 100000u);
    EXPECT_EQ(info.st_gid, 200000u);
  }
  EXPECT_EQ(uppers, 1);
}

TEST_F(OverlayMountsTest, MapsOfIdsThatAreNoneAreRefused) {
  const char* const kUid = "containerd.io/snapshot/uidmapping";
  const char* const kGid = "containerd.io/snapshot/gidmapping";
  const Labels wrong[] = {{{kUid, "0:1:1"}},
                          {{kUid, "0:1"}, {kGid, "0:1:1"}},
                          {{kUid, "0:1:0"}, {kGid, "0:1:1"}},
                          {{kUid, "0:4294967295:2"}, {kGid, "0:1:1"}},
                          {{kUid, "5:1:10"}, {kGid, "0:1:1"}}};  // lacks the root's owner
  for (const Labels& labels : wrong) {
    EXPECT_EQ(snapshotter_->Prepare("key", "one", {.labels = labels}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << labels.begin()->second;
  }
}

TEST(OverlaySnapshotterTest, ARootOnAnOverlayIsRefusedWithTheReason) {
  EnterPrivateMountNamespace();
  TestDirectory files;
  const auto database = OpenLayerDatabase(files.Sub("metadata.db"));
  ASSERT_TRUE(database.ok()) << database.status();
  auto outer = Open(files.Sub("outer"), **database);
  ASSERT_TRUE(outer.ok()) << outer.status();
  ASSERT_TRUE((*outer)->Prepare("a", "", {}).ok());
  ASSERT_TRUE((*outer)->Commit("one", "a", {}).ok());
  const auto mounts = (*outer)->Prepare("b", "one", {});
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  const MountedSnapshot mounted(*mounts, files.MakeEmpty());
  ASSERT_TRUE(mounted.status().ok()) << mounted.status();
  const auto inner = Open(mounted.path() + "/inner", **database);
  EXPECT_EQ(inner.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(inner.status().message()), ::testing::HasSubstr("choose another root"));
}

TEST(OverlaySnapshotterTest, ARootThatMountDataCannotExpressIsRefused) {
  TestDirectory files;
  const auto database = OpenLayerDatabase(files.Sub("metadata.db"));
  ASSERT_TRUE(database.ok()) << database.status();
  EXPECT_EQ(Open(files.Sub("a,b"), **database).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::snapshots
