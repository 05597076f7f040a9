#include "snapshotter/native/native_snapshotter.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/fixture.h"
#include "snapshotter/suite/snapshotter_suite.h"

namespace berth::snapshots {
namespace {

using ::testing::ElementsAre;

absl::StatusOr<std::unique_ptr<Snapshotter>> Open(const std::string& root,
                                                  sqlite::Database& database) {
  return OpenNativeSnapshotter({.root = root}, database);
}

INSTANTIATE_TEST_SUITE_P(Native, SnapshotterSuite, testing::Values(SuiteBackend{"native", Open}),
                         [](const auto& info) { return info.param.name; });

TEST(NativeSnapshotterTest, EverythingIsABindMount) {
  TestDirectory files;
  const auto database = OpenLayerDatabase(files.Sub("metadata.db"));
  ASSERT_TRUE(database.ok()) << database.status();
  auto opened = Open(files.Sub("root"), **database);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Snapshotter& snapshotter = **opened;
  const auto first = snapshotter.Prepare("a", "", {});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->front().type, "bind");
  EXPECT_THAT(first->front().options, ElementsAre("rbind", "rw"));
  ASSERT_TRUE(snapshotter.Commit("one", "a", {}).ok());
  const auto view = snapshotter.View("view", "one", {});
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->front().source, first->front().source);
  EXPECT_THAT(view->front().options, ElementsAre("rbind", "ro"));
}

}  // namespace
}  // namespace berth::snapshots
