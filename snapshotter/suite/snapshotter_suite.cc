#include "snapshotter/suite/snapshotter_suite.h"

#include <fcntl.h>

#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "snapshotter/suite/tree_compare.h"

namespace berth::snapshots {

void PrintTo(const SuiteBackend& backend, std::ostream* out) { *out << backend.name; }

void SnapshotterSuite::SetUp() {
  auto database = OpenLayerDatabase(files_.Sub("metadata.db"));
  ASSERT_TRUE(database.ok()) << database.status();
  database_ = *std::move(database);
  Reopen();
}

void SnapshotterSuite::Reopen() {
  snapshotter_.reset();
  auto opened = GetParam().open(root(), *database_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  snapshotter_ = *std::move(opened);
}

std::vector<std::string> SnapshotterSuite::Directories(const std::string& name) const {
  const auto directory = OpenFile(absl::StrCat(root(), "/", name), O_RDONLY | O_DIRECTORY);
  BERTH_CHECK(directory.ok());
  auto names = ListDirectory(*directory);
  BERTH_CHECK(names.ok());
  std::sort(names->begin(), names->end());
  return *std::move(names);
}

void SnapshotterSuite::MakeCommitted(const std::string& name, const std::string& parent,
                                     const Change& change) {
  const std::string key = absl::StrCat("making ", name);
  const auto mounts = snapshotter().Prepare(key, parent, {});
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  {
    const MountedSnapshot mounted(*mounts, files().MakeEmpty());
    ASSERT_TRUE(mounted.status().ok()) << mounted.status();
    change(mounted.path());
  }
  const absl::Status committed = snapshotter().Commit(name, key, {});
  ASSERT_TRUE(committed.ok()) << committed;
}

std::map<std::string, std::string> SnapshotterSuite::DescribeSnapshot(const std::string& name) {
  const std::string key = absl::StrCat("view of ", name);
  const auto mounts = snapshotter().View(key, name, {});
  EXPECT_TRUE(mounts.ok()) << mounts.status();
  if (!mounts.ok()) return {};
  std::map<std::string, std::string> tree;
  {
    const MountedSnapshot mounted(*mounts, files().MakeEmpty());
    EXPECT_TRUE(mounted.status().ok()) << mounted.status();
    if (mounted.status().ok()) tree = DescribeTree(mounted.path());
  }
  const absl::Status removed = snapshotter().Remove(key, {});
  EXPECT_TRUE(removed.ok()) << removed;
  return tree;
}

std::string SnapshotterSuite::CheckChain(const std::vector<Change>& changes) {
  const std::string flat = files().MakeEmpty();
  std::string parent;
  for (const Change& change : changes) {
    const std::string name = absl::StrCat("layer ", next_name_++);
    MakeCommitted(name, parent, change);
    if (HasFatalFailure()) return parent;
    change(flat);
    EXPECT_EQ(DescribeSnapshot(name), DescribeTree(flat)) << name;
    parent = name;
  }
  return parent;
}

}  // namespace berth::snapshots
