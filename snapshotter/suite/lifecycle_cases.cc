// Cases about keys, names, records and errors.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/snapshotter_suite.h"
#include "snapshotter/suite/tree_compare.h"

namespace berth::snapshots {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Change kNothing = [](const std::string&) {};

absl::StatusCode CodeOf(const absl::Status& status) { return status.code(); }
template <typename T>
absl::StatusCode CodeOf(const absl::StatusOr<T>& value) {
  return value.status().code();
}

TEST_P(SnapshotterSuite, ACommittedSnapshotIsTheBaseOfOthers) {
  const Change initial = All({WriteFile("/foo", "foo\n"), MakeDir("/a", 0755),
                              MakeDir("/a/b", 0755), MakeDir("/a/b/c", 0755)});
  const Change next = All({WriteFile("/bar", "bar\n"), RemoveAll("/a/b")});
  MakeCommitted("first", "", initial);
  MakeCommitted("second", "first", next);
  const auto info = snapshotter().Stat("second");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->parent, "first");
  EXPECT_EQ(info->kind, Kind::kCommitted);

  const std::string flat = files().MakeEmpty();
  initial(flat);
  EXPECT_EQ(DescribeSnapshot("first"), DescribeTree(flat));
  next(flat);
  EXPECT_EQ(DescribeSnapshot("second"), DescribeTree(flat));
}

TEST_P(SnapshotterSuite, StatOfAnActiveSnapshot) {
  ASSERT_TRUE(snapshotter().Prepare("key", "", {.labels = {{"a", "b"}}}).ok());
  const auto info = snapshotter().Stat("key");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "key");
  EXPECT_EQ(info->parent, "");
  EXPECT_EQ(info->kind, Kind::kActive);
  EXPECT_EQ(info->labels, (Labels{{"a", "b"}}));
  EXPECT_EQ(info->created, info->updated);
}

TEST_P(SnapshotterSuite, StatOfACommittedSnapshot) {
  ASSERT_TRUE(snapshotter().Prepare("key", "", {.labels = {{"only", "active"}}}).ok());
  ASSERT_TRUE(snapshotter().Commit("name", "key", {.labels = {{"c", "d"}}}).ok());
  const auto info = snapshotter().Stat("name");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->kind, Kind::kCommitted);
  EXPECT_EQ(info->labels, (Labels{{"c", "d"}}));
  EXPECT_EQ(CodeOf(snapshotter().Stat("key")), absl::StatusCode::kNotFound);
}

TEST_P(SnapshotterSuite, ParentsFormAChain) {
  MakeCommitted("one", "", WriteFile("/one", "1"));
  MakeCommitted("two", "one", WriteFile("/two", "2"));
  ASSERT_TRUE(snapshotter().Prepare("three", "two", {}).ok());
  EXPECT_EQ(snapshotter().Stat("three")->parent, "two");
  EXPECT_EQ(snapshotter().Stat("two")->parent, "one");
  EXPECT_EQ(snapshotter().Stat("one")->parent, "");
}

TEST_P(SnapshotterSuite, PrepareAndViewRefuseATakenKey) {
  MakeCommitted("name", "", kNothing);
  ASSERT_TRUE(snapshotter().Prepare("active", "name", {}).ok());
  ASSERT_TRUE(snapshotter().View("view", "name", {}).ok());
  for (const char* key : {"name", "active", "view"}) {
    EXPECT_EQ(CodeOf(snapshotter().Prepare(key, "", {})), absl::StatusCode::kAlreadyExists) << key;
    EXPECT_EQ(CodeOf(snapshotter().View(key, "name", {})), absl::StatusCode::kAlreadyExists) << key;
  }
  EXPECT_EQ(CodeOf(snapshotter().Prepare("", "", {})), absl::StatusCode::kInvalidArgument);
}

TEST_P(SnapshotterSuite, AParentMustExistAndBeCommitted) {
  ASSERT_TRUE(snapshotter().Prepare("active", "", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Prepare("key", "active", {})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(snapshotter().View("key", "active", {})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(snapshotter().Prepare("key", "nothing", {})), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(snapshotter().View("key", "nothing", {})), absl::StatusCode::kNotFound);
}

TEST_P(SnapshotterSuite, CommitRefusesViewsTakenNamesAndUnknownKeys) {
  MakeCommitted("name", "", kNothing);
  ASSERT_TRUE(snapshotter().View("view", "name", {}).ok());
  ASSERT_TRUE(snapshotter().Prepare("active", "name", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Commit("new", "view", {})), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(snapshotter().Commit("new", "name", {})), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(snapshotter().Commit("name", "active", {})), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(CodeOf(snapshotter().Commit("new", "nothing", {})), absl::StatusCode::kNotFound);
  EXPECT_EQ(snapshotter().Stat("active")->kind, Kind::kActive);
}

TEST_P(SnapshotterSuite, MountsOfActiveSnapshotsAndViewsOnly) {
  MakeCommitted("name", "", kNothing);
  const auto prepared = snapshotter().Prepare("active", "name", {});
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  const auto mounts = snapshotter().Mounts("active");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  ASSERT_EQ(mounts->size(), 1u);
  EXPECT_EQ(mounts->front().options, prepared->front().options);
  EXPECT_EQ(mounts->front().source, prepared->front().source);
  EXPECT_EQ(CodeOf(snapshotter().Mounts("name")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(snapshotter().Mounts("nothing")), absl::StatusCode::kNotFound);
}

TEST_P(SnapshotterSuite, UpdateChangesLabelsOnly) {
  ASSERT_TRUE(snapshotter().Prepare("key", "", {.labels = {{"a", "1"}, {"b", "2"}}}).ok());
  const Info before = *snapshotter().Stat("key");
  Info wanted;
  wanted.name = "key";
  wanted.labels = {{"a", "one"}, {"c", "3"}};

  auto updated = snapshotter().Update(wanted, {.field_paths = {"labels.a"}});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->labels, (Labels{{"a", "one"}, {"b", "2"}}));
  EXPECT_GT(updated->updated, before.updated);
  EXPECT_EQ(updated->created, before.created);

  updated = snapshotter().Update(wanted, {.field_paths = {"labels.b"}});
  EXPECT_EQ(updated->labels, (Labels{{"a", "one"}}));
  EXPECT_EQ(snapshotter().Update(wanted, {})->labels, wanted.labels);
  EXPECT_EQ(CodeOf(snapshotter().Update(wanted, {.field_paths = {"parent"}})),
            absl::StatusCode::kInvalidArgument);
  wanted.name = "nothing";
  EXPECT_EQ(CodeOf(snapshotter().Update(wanted, {})), absl::StatusCode::kNotFound);
  EXPECT_EQ(snapshotter().Stat("key")->labels, (Labels{{"a", "one"}, {"c", "3"}}));
}

TEST_P(SnapshotterSuite, RemoveFreesTheKeyAndTheSpace) {
  ASSERT_TRUE(snapshotter().Prepare("key", "", {}).ok());
  ASSERT_TRUE(snapshotter().Remove("key", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Stat("key")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(snapshotter().Remove("key", {})), absl::StatusCode::kNotFound);
  EXPECT_TRUE(snapshotter().Prepare("key", "", {}).ok());
  ASSERT_TRUE(snapshotter().Remove("key", {}).ok());
  ASSERT_TRUE(snapshotter().Cleanup().ok());
  EXPECT_THAT(Directories("layers"), IsEmpty());
  EXPECT_THAT(Directories("removed"), IsEmpty());
}

TEST_P(SnapshotterSuite, ASnapshotWithChildrenStays) {
  MakeCommitted("base", "", kNothing);
  MakeCommitted("middle", "base", kNothing);
  ASSERT_TRUE(snapshotter().Prepare("top", "middle", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Remove("middle", {})), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(snapshotter().Remove("base", {})), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(snapshotter().Remove("top", {}).ok());
  EXPECT_TRUE(snapshotter().Remove("middle", {}).ok());
  EXPECT_TRUE(snapshotter().Remove("base", {}).ok());
}

TEST_P(SnapshotterSuite, WalkVisitsEachOnceAndAllowsChanges) {
  MakeCommitted("b", "", kNothing);
  std::vector<std::string> expected = {"b"};
  for (int i = 0; i < 205; ++i) {  // more than two batches
    expected.push_back(absl::StrFormat("view %03d", i));
    ASSERT_TRUE(snapshotter().View(expected.back(), "b", {}).ok());
  }
  std::vector<std::string> visited;
  const absl::Status walked = snapshotter().Walk([&](const Info& info) -> absl::Status {
    visited.push_back(info.name);
    if (info.kind == Kind::kView) return snapshotter().Remove(info.name, {});
    return snapshotter().Stat(info.name).status();
  });
  ASSERT_TRUE(walked.ok()) << walked;
  EXPECT_EQ(visited, expected);
  EXPECT_EQ(CodeOf(snapshotter().Walk([](const Info&) { return absl::AbortedError("enough"); })),
            absl::StatusCode::kAborted);
}

TEST_P(SnapshotterSuite, StatInWalkSeesTheSame) {
  MakeCommitted("one", "", kNothing);
  ASSERT_TRUE(snapshotter().Prepare("two", "one", {.labels = {{"a", "b"}}}).ok());
  int visited = 0;
  ASSERT_TRUE(snapshotter()
                  .Walk([&](const Info& walked) {
                    ++visited;
                    const auto stat = snapshotter().Stat(walked.name);
                    EXPECT_TRUE(stat.ok()) << stat.status();
                    EXPECT_EQ(stat->parent, walked.parent);
                    EXPECT_EQ(stat->kind, walked.kind);
                    EXPECT_EQ(stat->labels, walked.labels);
                    EXPECT_EQ(stat->created, walked.created);
                    EXPECT_EQ(stat->updated, walked.updated);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(visited, 2);
}

TEST_P(SnapshotterSuite, ClosedTwiceIsNoError) {
  EXPECT_TRUE(snapshotter().Close().ok());
  EXPECT_TRUE(snapshotter().Close().ok());
  EXPECT_EQ(CodeOf(snapshotter().Stat("key")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(snapshotter().Prepare("key", "", {})), absl::StatusCode::kUnavailable);
}

TEST_P(SnapshotterSuite, WorkInTheSameTransactionFailsOrSucceedsWithIt) {
  MakeCommitted("base", "", kNothing);
  const std::vector<std::string> before = Directories("layers");
  const AlsoInTransaction fail = [](sqlite::Connection&) {
    return absl::AbortedError("the other half");
  };
  EXPECT_EQ(CodeOf(snapshotter().Prepare("key", "base", {.labels = {}, .also = fail})),
            absl::StatusCode::kAborted);
  EXPECT_EQ(CodeOf(snapshotter().Stat("key")), absl::StatusCode::kNotFound);
  EXPECT_EQ(Directories("layers"), before);

  ASSERT_TRUE(snapshotter().Prepare("key", "base", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Commit("name", "key", {.labels = {}, .parent = "", .also = fail})),
            absl::StatusCode::kAborted);
  EXPECT_EQ(CodeOf(snapshotter().Remove("key", {.also = fail})), absl::StatusCode::kAborted);
  EXPECT_EQ(snapshotter().Stat("key")->kind, Kind::kActive);
  EXPECT_EQ(CodeOf(snapshotter().Stat("name")), absl::StatusCode::kNotFound);
}

TEST_P(SnapshotterSuite, UsageExcludesTheParent) {
  const std::string megabyte(1 << 20, 'x');
  MakeCommitted("base", "", WriteFile("/big", megabyte));
  const auto base = snapshotter().GetUsage("base");
  ASSERT_TRUE(base.ok()) << base.status();
  EXPECT_GE(base->size_bytes, 1 << 20);
  EXPECT_EQ(base->inodes, 2);  // the root and the file

  const auto mounts = snapshotter().Prepare("key", "base", {});
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  {
    const MountedSnapshot mounted(*mounts, files().MakeEmpty());
    ASSERT_TRUE(mounted.status().ok()) << mounted.status();
    All({MakeDir("/d", 0755), WriteFile("/d/x", "x"), HardLink("/d/x", "/d/y")})(mounted.path());
  }
  const auto active = snapshotter().GetUsage("key");
  ASSERT_TRUE(active.ok()) << active.status();
  // A copying backend holds its parent's files once more; what it says is what it takes.
  const bool copies = !std::ranges::count(snapshotter().description().capabilities, "rebase");
  EXPECT_EQ(active->inodes, copies ? 4 : 3);
  if (!copies) {
    EXPECT_LT(active->size_bytes, 1 << 19);
  }
  ASSERT_TRUE(snapshotter().Commit("name", "key", {}).ok());
  const auto committed = snapshotter().GetUsage("name");
  EXPECT_EQ(committed->size_bytes, active->size_bytes);
  EXPECT_EQ(committed->inodes, active->inodes);
  EXPECT_EQ(CodeOf(snapshotter().GetUsage("nothing")), absl::StatusCode::kNotFound);
}

TEST_P(SnapshotterSuite, AParentCanBeChosenAtCommitWhereTheBackendSaysSo) {
  MakeCommitted("base", "", All({WriteFile("/a", "base"), WriteFile("/b", "base")}));
  const auto mounts = snapshotter().Prepare("key", "", {});
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  {
    const MountedSnapshot mounted(*mounts, files().MakeEmpty());
    ASSERT_TRUE(mounted.status().ok()) << mounted.status();
    WriteFile("/b", "top")(mounted.path());
  }
  const CommitOptions on_base{.labels = {}, .parent = "base", .also = {}};
  const absl::Status committed = snapshotter().Commit("top", "key", on_base);
  if (!std::ranges::count(snapshotter().description().capabilities, "rebase")) {
    EXPECT_EQ(committed.code(), absl::StatusCode::kUnimplemented);
    return;
  }
  ASSERT_TRUE(committed.ok()) << committed;
  EXPECT_EQ(snapshotter().Stat("top")->parent, "base");
  const std::string flat = files().MakeEmpty();
  All({WriteFile("/a", "base"), WriteFile("/b", "top")})(flat);
  EXPECT_EQ(DescribeSnapshot("top"), DescribeTree(flat));
  EXPECT_EQ(CodeOf(snapshotter().Remove("base", {})), absl::StatusCode::kFailedPrecondition);

  ASSERT_TRUE(snapshotter().Prepare("has parent", "top", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Commit("new", "has parent", on_base)),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(snapshotter().Prepare("free", "", {}).ok());
  EXPECT_EQ(CodeOf(snapshotter().Commit("new", "free",
                                        {.labels = {}, .parent = "has parent", .also = {}})),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      CodeOf(snapshotter().Commit("new", "free", {.labels = {}, .parent = "nothing", .also = {}})),
      absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth::snapshots
