// What tests of snapshotters stand on: a directory of their own with a database, a private mount
// namespace, and mounts that go with their scope.
//
// Thread-hostile: EnterPrivateMountNamespace changes the calling thread for good, and mounting may
// change its working directory for a moment. Needs root.
#ifndef BERTH_SNAPSHOTTER_SUITE_FIXTURE_H_
#define BERTH_SNAPSHOTTER_SUITE_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/sqlite/database.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

// Mounts of this thread are seen by no other namespace afterwards.
void EnterPrivateMountNamespace();

// Removed with everything in it. Lies below $TEST_TMPDIR or /tmp; never on an overlay, which could
// not be an upper directory.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string Sub(absl::string_view name) const;
  // Makes an empty directory of a new name.
  std::string MakeEmpty();

 private:
  std::string path_;
  int next_ = 0;
};

// A database that holds only the layers' tables.
absl::StatusOr<std::unique_ptr<sqlite::Database>> OpenLayerDatabase(const std::string& path);

// The mounts of a snapshot at a directory, until the end of the scope.
class MountedSnapshot {
 public:
  MountedSnapshot(const std::vector<Mount>& mounts, std::string target);
  ~MountedSnapshot();
  MountedSnapshot(const MountedSnapshot&) = delete;
  MountedSnapshot& operator=(const MountedSnapshot&) = delete;

  const absl::Status& status() const { return status_; }
  const std::string& path() const { return target_; }

 private:
  const std::string target_;
  absl::Status status_;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_SUITE_FIXTURE_H_
