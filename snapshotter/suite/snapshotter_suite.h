// The tests that every backend passes. A backend's own test instantiates them:
//
//   INSTANTIATE_TEST_SUITE_P(Overlay, SnapshotterSuite, testing::Values(SuiteBackend{...}), ...);
//
// Each test gets a fresh root and database, in a mount namespace of the test's thread. The fixture
// is thread-hostile.
#ifndef BERTH_SNAPSHOTTER_SUITE_SNAPSHOTTER_SUITE_H_
#define BERTH_SNAPSHOTTER_SUITE_SNAPSHOTTER_SUITE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/sqlite/database.h"
#include "gtest/gtest.h"
#include "snapshotter/api/snapshotter.h"
#include "snapshotter/suite/fixture.h"
#include "snapshotter/suite/tree_changes.h"

namespace berth::snapshots {

struct SuiteBackend {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<Snapshotter>>(const std::string& root,
                                                             sqlite::Database& database)>
      open;
};

// Printed by gtest instead of the struct's bytes.
void PrintTo(const SuiteBackend& backend, std::ostream* out);

class SnapshotterSuite : public testing::TestWithParam<SuiteBackend> {
 protected:
  static void SetUpTestSuite() { EnterPrivateMountNamespace(); }
  void SetUp() override;

  // As a restart of the daemon: the object is made anew on the same files.
  void Reopen();
  Snapshotter& snapshotter() { return *snapshotter_; }
  sqlite::Database& database() { return *database_; }
  TestDirectory& files() { return files_; }
  std::string root() const { return files_.Sub("root"); }
  // The ids under <root>/<name>, sorted.
  std::vector<std::string> Directories(const std::string& name) const;

  // Prepares `key`, changes it through its mounts, commits it as `name`.
  void MakeCommitted(const std::string& name, const std::string& parent, const Change& change);
  // What a view of `name` shows.
  std::map<std::string, std::string> DescribeSnapshot(const std::string& name);
  // Builds a chain of snapshots, one per change, and compares each with a directory that was
  // changed in the same way. Returns the name of the last.
  std::string CheckChain(const std::vector<Change>& changes);

 private:
  TestDirectory files_;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<Snapshotter> snapshotter_;
  int next_name_ = 0;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_SUITE_SNAPSHOTTER_SUITE_H_
