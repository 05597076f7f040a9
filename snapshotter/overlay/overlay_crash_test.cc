// Kills a process that changes snapshots, again and again, and looks at what the next start finds.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "snapshotter/overlay/overlay_snapshotter.h"
#include "snapshotter/suite/fixture.h"

namespace berth::snapshots {
namespace {

constexpr int kKills = 15;

struct Opened {
  std::unique_ptr<sqlite::Database> database;
  std::unique_ptr<Snapshotter> snapshotter;
};

absl::StatusOr<Opened> Open(const TestDirectory& files) {
  Opened opened;
  auto database = OpenLayerDatabase(files.Sub("metadata.db"));
  if (!database.ok()) return database.status();
  opened.database = *std::move(database);
  auto snapshotter =
      OpenOverlaySnapshotter({.root = files.Sub("root"), .mount_options = {}}, *opened.database);
  if (!snapshotter.ok()) return snapshotter.status();
  opened.snapshotter = *std::move(snapshotter);
  return opened;
}

// Runs in the child until it is killed. Writes one byte per committed snapshot to `ready`.
[[noreturn]] void ChangeSnapshots(const TestDirectory& files, int round, BorrowedFd ready) {
  auto opened = Open(files);
  if (!opened.ok()) ::_exit(1);
  Snapshotter& snapshotter = *opened->snapshotter;
  std::string parent;
  for (int i = 0;; ++i) {
    const std::string name = absl::StrCat("r", round, " n", i);
    const auto mounts = snapshotter.Prepare("key " + name, parent, {});
    if (!mounts.ok()) ::_exit(2);
    // Without a parent the mount is a bind of the layer's content.
    if (parent.empty()) {
      const auto file = OpenFile(mounts->front().source + "/file", O_WRONLY | O_CREAT, 0600);
      if (!file.ok() || !WriteAll(*file, name).ok()) ::_exit(3);
    }
    if (!snapshotter.Commit(name, "key " + name, {}).ok()) ::_exit(4);
    parent = i % 3 == 2 ? "" : name;
    if (i % 3 == 2 && !snapshotter.Remove(name, {}).ok()) ::_exit(5);
    if (::write(ready.get(), "x", 1) != 1) ::_exit(6);
  }
}

TEST(OverlayCrashTest, EveryRecordHasItsLayerWheneverTheProcessIsKilled) {
  TestDirectory files;
  for (int round = 0; round < kKills; ++round) {
    auto ready = MakePipe();
    ASSERT_TRUE(ready.ok()) << ready.status();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ChangeSnapshots(files, round, ready->write);
    ready->write.Reset();
    char done;
    ASSERT_EQ(::read(ready->read.get(), &done, 1), 1) << "the child ended by itself";
    // At a different place each time; the work of one round takes a few milliseconds.
    absl::SleepFor(absl::Microseconds(700 * round));  // tidy: allow(sleep) the moment is the test
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit code " << WEXITSTATUS(status);

    auto opened = Open(files);
    ASSERT_TRUE(opened.ok()) << opened.status();
    std::set<std::string> keys;
    ASSERT_TRUE(opened->snapshotter
                    ->Walk([&](const Info& info) {
                      keys.insert(info.name);
                      return absl::OkStatus();
                    })
                    .ok());
    EXPECT_FALSE(keys.empty());
    for (const std::string& key : keys) {
      // Measures what is there, so a record without its directory fails.
      EXPECT_TRUE(opened->snapshotter->GetUsage(key).ok()) << key;
      if (opened->snapshotter->Stat(key)->kind != Kind::kCommitted) continue;
      const std::string view = "view of " + key;
      const auto mounts = opened->snapshotter->View(view, key, {});
      ASSERT_TRUE(mounts.ok()) << mounts.status();
      if (mounts->front().type == "bind") {
        EXPECT_EQ(ReadFile(mounts->front().source + "/file").value_or("missing"), key);
      }
      EXPECT_TRUE(opened->snapshotter->Remove(view, {}).ok());
    }
    ASSERT_TRUE(opened->snapshotter->Cleanup().ok());
    const auto layers = OpenFile(files.Sub("root/layers"), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(ListDirectory(*layers)->size(), keys.size());
  }
}

}  // namespace
}  // namespace berth::snapshots
