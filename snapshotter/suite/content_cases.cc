// Cases about what is seen in the filesystem.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/snapshotter_suite.h"
#include "snapshotter/suite/tree_compare.h"

namespace berth::snapshots {
namespace {

TEST_P(SnapshotterSuite, AFileIsUpdatedInAnUpperLayer) {
  CheckChain({All({MakeDir("/etc", 0700), WriteFile("/etc/hosts", "mydomain 10.0.0.1"),
                   WriteFile("/etc/profile", "PATH=/usr/bin")}),
              All({WriteFile("/etc/hosts", "mydomain 10.0.0.2"),
                   WriteFile("/etc/profile", "PATH=/usr/bin", 0666), MakeDir("/root", 0700),
                   WriteFile("/root/.bashrc", "PATH=/usr/sbin:/usr/bin"),
                   Append("/etc/profile", ":/bin")})});
}

TEST_P(SnapshotterSuite, ADirectoryThatIsMadeAnewIsOpaque) {
  CheckChain({All({MakeDir("/lib", 0700), WriteFile("/lib/hidden", "")}),
              All({RemoveAll("/lib"), MakeDir("/lib", 0700), WriteFile("/lib/not-hidden", "")}),
              WriteFile("/lib/newfile", "")});
}

TEST_P(SnapshotterSuite, OwnersChangeInAnUpperLayer) {
  CheckChain({All({MakeDir("/opt", 0700), MakeDir("/opt/a", 0700), MakeDir("/opt/a/b", 0700),
                   WriteFile("/opt/a/b/file.txt", "hello")}),
              All({Chown("/opt", 1, 1), Chown("/opt/a", 1, 1), Chown("/opt/a/b", 1, 1),
                   Chown("/opt/a/b/file.txt", 1, 1)})});
}

TEST_P(SnapshotterSuite, OwnersOfDirectoriesSurviveCommit) {
  CheckChain({All({MakeDir("/dir1", 0700), MakeDir("/dir2", 0700), MakeDir("/dir3", 0700),
                   MakeDir("/dir4", 0700), WriteFile("/dir4/f1", "..."), MakeDir("/dir5", 0700),
                   WriteFile("/dir5/f1", "..."), Chown("/dir1", 1, 1), Chown("/dir2", 1, 1),
                   Chown("/dir3", 1, 1), Chown("/dir5", 1, 1), Chown("/dir5/f1", 1, 1)}),
              All({Chown("/dir2", 0, 0), RemoveAll("/dir3"), Chown("/dir4", 1, 1),
                   Chown("/dir4/f1", 1, 1)}),
              All({MakeDir("/dir3", 0700), Chown("/dir3", 1, 1), RemoveAll("/dir5"),
                   MakeDir("/dir5", 0700), Chown("/dir5", 1, 1)})});
}

TEST_P(SnapshotterSuite, DeletedFilesStayDeletedInChildren) {
  CheckChain({All({WriteFile("/foo", "foo\n"), WriteFile("/foobar", "foobar\n"),
                   MakeDir("/d", 0755), WriteFile("/d/x", "x")}),
              All({RemoveAll("/foobar"), RemoveAll("/d")}), Append("/foo", "bar\n")});
}

TEST_P(SnapshotterSuite, FilesOfALowerLayerCanBeMoved) {
  CheckChain({All({MakeDir("/dir1", 0700), WriteFile("/dir1/f1", "Hello"), MakeDir("/dir2", 0700),
                   WriteFile("/dir2/f2", "...")}),
              All({Move("/dir1/f1", "/f1"), Move("/dir2/f2", "/dir1/f2")}),
              Move("/dir1/f2", "/dir2/f1")});
}

TEST_P(SnapshotterSuite, DirectoriesAndFilesCanBeRenamed) {
  CheckChain({All({MakeDir("/dir1", 0755), WriteFile("/dir1/inside", "kept"),
                   MakeDir("/somefiles", 0700), WriteFile("/somefiles/f1", "was here first!"),
                   WriteFile("/somefiles/f2", "nothing interesting")}),
              All({Move("/dir1", "/dir2"), WriteFile("/somefiles/f1-overwrite", "new content 1"),
                   Move("/somefiles/f1-overwrite", "/somefiles/f1"),
                   Move("/somefiles/f2", "/somefiles/f3")}),
              All({MakeDir("/dir1", 0700), WriteFile("/dir2/inside", "changed")})});
}

TEST_P(SnapshotterSuite, HardLinksStayLinked) {
  CheckChain({All({MakeDir("/d", 0755), WriteFile("/a", "same"), HardLink("/a", "/d/b"),
                   HardLink("/a", "/c"), SymbolicLink("a", "/s"), HardLink("/s", "/d/s")}),
              WriteFile("/other", "x"), RemoveAll("/a")});
}

TEST_P(SnapshotterSuite, ExtendedAttributesAndFileCapabilitiesAreKept) {
  // cap_net_raw=ep, as setcap writes it.
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00",
      20);
  CheckChain({All({WriteFile("/ping", "#!", 0755), SetAttribute("/ping", "user.color", "blue"),
                   SetAttribute("/ping", "security.capability", capability), MakeDir("/d", 0755),
                   SetAttribute("/d", "user.empty", "")}),
              All({SetAttribute("/ping", "user.color", "red"), WriteFile("/d/file", "")}),
              WriteFile("/ping-like", "#!", 04755)});
}

TEST_P(SnapshotterSuite, SpecialFilesAreKept) {
  CheckChain(
      {All({MakeNode("/null", S_IFCHR | 0666, makedev(1, 3)),
            MakeNode("/loop", S_IFBLK | 0660, makedev(7, 0)), MakeNode("/fifo", S_IFIFO | 0600, 0),
            MakeNode("/socket", S_IFSOCK | 0700, 0), SymbolicLink("/nowhere", "/dangling")}),
       All({RemoveAll("/fifo"), Chown("/dangling", 5, 6), Chmod("/null", 0600)})});
}

TEST_P(SnapshotterSuite, AViewCannotBeWritten) {
  MakeCommitted("one", "", WriteFile("/foo", "one"));
  MakeCommitted("two", "one", WriteFile("/bar", "two"));
  for (const char* parent : {"", "one", "two"}) {
    const std::string key = absl::StrCat("view of ", parent);
    const auto mounts = snapshotter().View(key, parent, {});
    ASSERT_TRUE(mounts.ok()) << mounts.status();
    const MountedSnapshot mounted(*mounts, files().MakeEmpty());
    ASSERT_TRUE(mounted.status().ok()) << mounted.status();
    EXPECT_EQ(ErrnoOf(OpenFile(mounted.path() + "/new", O_WRONLY | O_CREAT, 0600).status()), EROFS)
        << parent;
  }
}

TEST_P(SnapshotterSuite, TheRootOfANewSnapshotIsOpenToAll) {
  const auto mounts = snapshotter().Prepare("key", "", {});
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  const MountedSnapshot mounted(*mounts, files().MakeEmpty());
  ASSERT_TRUE(mounted.status().ok()) << mounted.status();
  struct stat info;
  ASSERT_EQ(::stat(mounted.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
}

TEST_P(SnapshotterSuite, TheRootKeepsOwnerAndModeOfItsParent) {
  CheckChain({All({Chown("/", 7, 8), Chmod("/", 0711)}), WriteFile("/x", "")});
}

TEST_P(SnapshotterSuite, AHundredAndTwentyEightLayersAreMounted) {
  constexpr int kLayers = 128;
  constexpr int kOwnFileEvery = 8;  // a copying backend copies them all each time
  std::string parent;
  for (int i = 0; i < kLayers; ++i) {
    const std::string name = absl::StrCat("layer ", i);
    MakeCommitted(
        name, parent,
        All({WriteFile(absl::StrCat("/of layers ", i - i % kOwnFileEvery), absl::StrCat(i)),
             WriteFile("/bottom", absl::StrCat("bottom ", i)),
             i == 0 ? MakeDir("/d", 0755) : Chmod("/d", 0700 + i % 8)}));
    ASSERT_FALSE(HasFatalFailure());
    parent = name;
  }
  const auto mounts = snapshotter().Prepare("top", parent, {});
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  const MountedSnapshot mounted(*mounts, files().MakeEmpty());
  ASSERT_TRUE(mounted.status().ok()) << mounted.status();
  EXPECT_EQ(ReadFile(mounted.path() + "/bottom").value_or("missing"), "bottom 127");
  for (int i = 0; i < kLayers; i += kOwnFileEvery) {
    EXPECT_EQ(ReadFile(absl::StrCat(mounted.path(), "/of layers ", i)).value_or("missing"),
              absl::StrCat(i + kOwnFileEvery - 1));
  }
  WriteFile("/new", "written")(mounted.path());
  EXPECT_EQ(ReadFile(mounted.path() + "/new").value_or("missing"), "written");
}

}  // namespace
}  // namespace berth::snapshots
