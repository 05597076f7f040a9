// Images beside what TreeWriter makes of the same members, by this kernel's mounts and by
// erofs-utils. Needs root; the mounts are in a mount namespace of the test's own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "snapshotter/erofs/image_mount.h"
#include "snapshotter/erofs/image_writer.h"
#include "snapshotter/erofs/layer_image.h"
#include "snapshotter/erofs/tree_image.h"
#include "snapshotter/layer/apply.h"
#include "snapshotter/layer/layer_test_support.h"

namespace berth::erofs {
namespace {

using layer::Directory;
using layer::File;
using layer::Hardlink;
using layer::Member;
using layer::Shell;
using layer::Symlink;
using layer::TestDirectory;
using layer::Whiteout;

std::string Attribute(const std::string& path, const char* name) {
  char value[70000];
  const ssize_t size = ::lgetxattr(path.c_str(), name, value, sizeof(value));
  return size < 0 ? "none" : std::string(value, static_cast<size_t>(size));
}

class ImageTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
  void SetUp() override {
    Shell(absl::StrCat("mkdir ", plain_, " ", mounted_));
    const absl::Status able = ProbeFileMounts(directory_.path());
    if (!able.ok()) GTEST_SKIP() << able;
  }
  void TearDown() override { EXPECT_TRUE(Unmount(mounted_).ok()); }

  UniqueFd NewFile(const std::string& path) {
    absl::StatusOr<UniqueFd> file = OpenFile(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  absl::Status MakeImage(const std::vector<Member>& members, const std::string& path,
                         std::vector<UniqueFd> lowers = {},
                         layer::Below below = layer::Below::kShown) {
    const UniqueFd file = NewFile(path);
    LayerImage image(file, std::move(lowers), below);
    return layer::ApplyLayer(layer::MemoryFile(layer::MakeTar(members)), {}, image).status();
  }
  // Judged by erofs-utils, then mounted.
  void MountImage() {
    Shell(absl::StrCat("fsck.erofs ", image_, " > /dev/null"));
    ASSERT_TRUE(Unmount(mounted_).ok());
    const absl::Status status = MountAt(image_, mounted_);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_TRUE(*IsMounted(mounted_));
  }
  // The image shows what TreeWriter writes; of whiteouts, which have no time of their own, all but
  // the time.
  void ExpectAsInADirectory(const std::vector<Member>& members) {
    const absl::Status made = MakeImage(members, image_, {}, layer::Below::kUnknown);
    ASSERT_TRUE(made.ok()) << made;
    ASSERT_TRUE(layer::ApplyBytes(layer::MakeTar(members), plain_, layer::WhiteoutStyle::kOverlay)
                    .status()
                    .ok());
    MountImage();
    EXPECT_EQ(Describe(mounted_), Describe(plain_));
  }
  static std::string Describe(const std::string& root) {
    std::vector<std::string> lines = absl::StrSplit(layer::DescribeTree(root), '\n');
    for (std::string& line : lines) {
      const size_t whiteout = line.find(" 20000 0:0 rdev 0 ");
      if (whiteout != std::string::npos) line.resize(whiteout);
    }
    return absl::StrJoin(lines, "\n");
  }

  TestDirectory directory_;
  const std::string plain_ = directory_ / "plain";
  const std::string mounted_ = directory_ / "mounted";
  const std::string image_ = directory_ / "layer.erofs";
};

TEST_F(ImageTest, EveryKindOfFileIsAsItsMemberSays) {
  Member suid = File("bin/su", std::string(5000, 'x'));
  suid.entry.permissions = 06755;
  suid.entry.uid = 70000;
  suid.entry.gid = 4294967294;
  suid.entry.modified = {.tv_sec = 1700000000, .tv_nsec = 123456789};
  suid.entry.xattrs = {
      {"user.one", "1"},
      {"security.capability",
       std::string("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                   "\x00\x00\x00\x00",
                   20)},
      {"trusted.mine", std::string(3000, 't')}};
  Member old = File("old");
  old.entry.modified = {.tv_sec = 5, .tv_nsec = 7};
  Member tmp = Directory("tmp");
  tmp.entry.permissions = 01777;
  Member device = File("disk", "");
  device.entry.type = layer::EntryType::kBlockDevice;
  device.entry.device = makedev(259, 300000);
  Member tty = File("tty", "");
  tty.entry.type = layer::EntryType::kCharDevice;
  tty.entry.device = makedev(4095, 1);
  Member fifo = File("fifo", "");
  fifo.entry.type = layer::EntryType::kFifo;
  ExpectAsInADirectory({Directory("bin"), suid, old, tmp, device, tty, fifo, File("empty", ""),
                        File("block", std::string(4096, 'b')), File("more", std::string(4097, 'm')),
                        File("big", std::string(3 << 20, 'z')), Symlink("link", "/bin/su"),
                        Symlink("long", std::string(4000, 'l')), Hardlink("bin/su2", "bin/su"),
                        Hardlink("su3", "bin/su2")});
  struct stat info;
  ASSERT_EQ(::stat((mounted_ + "/bin/su").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 3u);
  ASSERT_EQ(::stat(mounted_.c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 4u);
}

TEST_F(ImageTest, DirectoriesOfManyBlocks) {
  std::vector<Member> members = {Directory("many"), Directory("long"), Directory("full")};
  for (int i = 0; i < 1200; ++i) members.push_back(File(absl::StrCat("many/f", i * 7919 % 1200)));
  for (int i = 0; i < 100; ++i) {
    members.push_back(Directory(absl::StrCat("long/", std::string(250, 'n'), i)));
  }
  // Sizes around a block: "." and ".." take 27 bytes.
  for (int i = 0; i < 40; ++i)
    members.push_back(File(absl::StrCat("full/", std::string(80, 'a'), i)));
  std::string deep = "deep";
  for (int i = 0; i < 60; ++i) {
    members.push_back(Directory(deep));
    absl::StrAppend(&deep, "/d");
  }
  ExpectAsInADirectory(members);
}

// Every size of a directory's last part and of a link, wherever its inode falls in a block.
TEST_F(ImageTest, WhatFollowsAnInodeNeverCrossesABlock) {
  std::vector<Member> members;
  for (int i = 1; i < 120; ++i) {
    members.push_back(Symlink(absl::StrCat("l", i), std::string((i * 97) % 4090 + 1, 'x')));
    const std::string name = absl::StrCat("d", i);
    members.push_back(Directory(name));
    for (int j = 0; j < i % 13; ++j) {
      members.push_back(Directory(absl::StrCat(name, "/", std::string(1 + (i * j) % 200, 'n'), j)));
    }
  }
  ExpectAsInADirectory(members);
}

TEST_F(ImageTest, LaterMembersReplaceEarlierOnes) {
  Member again = Directory("d");
  again.entry.permissions = 0700;
  ExpectAsInADirectory({File("a", "first"), Hardlink("b", "a"), File("a", "second"), Directory("d"),
                        File("d/x"), again, Directory("gone"), File("gone/y"),
                        File("gone", "a file now"), File("file"), Directory("file"),
                        File("file/below"), Symlink("to", "d"), File("to/through", "link"),
                        Symlink("abs", "/d/../file"), File("abs/other"), Hardlink("h", "to/x")});
}

TEST_F(ImageTest, WhiteoutsAndOpaqueDirectoriesAreOverlayfss) {
  ExpectAsInADirectory({Whiteout(".wh.gone"), Directory("all"), Whiteout("all/.wh..wh..opq"),
                        File("all/new"), Whiteout(".wh.was"), Directory("was"), File("was/x"),
                        Directory("both"), Whiteout(".wh.both"), File("stays"),
                        Whiteout(".wh.stays"), Whiteout(".wh..wh.plnk"), Whiteout(".wh.back"),
                        File("back", "again")});
  for (const char* opaque : {"all", "was", "both"}) {
    EXPECT_EQ(Attribute(mounted_ + "/" + opaque, "trusted.overlay.opaque"), "y") << opaque;
  }
  // The lowest layer shows no marks.
  const std::string lowest = directory_ / "lowest.erofs";
  ASSERT_TRUE(
      MakeImage({Whiteout(".wh.gone"), Directory("d"), Whiteout("d/.wh..wh..opq")}, lowest).ok());
  EXPECT_EQ(ReadImageInfo(*OpenFile(lowest, O_RDONLY))->inodes, 2u);
  // As a layer of an overlay they hide what lies below.
  const std::string lower = directory_ / "lower";
  const std::string merged = directory_ / "merged";
  Shell(absl::StrCat(
      "mkdir -p ", merged, " ", lower, "/all ", lower, "/was ", lower, "/both; touch ", lower,
      "/gone ", lower, "/all/old ", lower, "/was/old ", lower, "/both/old ", lower,
      "/kept; mount -t overlay -o ro,lowerdir=", mounted_, ":", lower, " overlay ", merged));
  for (const char* hidden : {"/gone", "/all/old", "/was/old", "/both/old"}) {
    EXPECT_FALSE(layer::Exists(merged + hidden)) << hidden;
  }
  EXPECT_TRUE(layer::Exists(merged + "/kept"));
  EXPECT_TRUE(layer::Exists(merged + "/all/new"));
  EXPECT_EQ(::umount2(merged.c_str(), MNT_DETACH), 0);
}

TEST_F(ImageTest, AttributesOfAllSizes) {
  std::vector<Member> members;
  for (int i = 0; i < 60; ++i) {
    Member file = File(absl::StrCat("f", i));
    for (int j = 0; j <= i % 5; ++j) {
      file.entry.xattrs.emplace_back(absl::StrCat("user.n", j), std::string((i * 61) % 800, 'v'));
    }
    members.push_back(file);
  }
  // ext4, where the same is written, holds no more than a block of them; the image does.
  ExpectAsInADirectory(members);
  Member directory = Directory("d");
  for (int i = 0; i < 4; ++i) {
    directory.entry.xattrs.emplace_back(absl::StrCat("user.x", i), std::string(60000, 'a' + i));
  }
  {
    // Not through an archive: its reader takes no attributes of that size.
    const UniqueFd file = NewFile(image_);
    LayerImage image(file, {}, layer::Below::kShown);
    const auto write = [](BorrowedFd to, int64_t begin) {
      return ::pwrite(to.get(), "data", 4, begin) == 4 ? absl::OkStatus()
                                                       : absl::InternalError("pwrite");
    };
    Member small = File("d/x");
    small.entry.size_bytes = 4;
    ASSERT_TRUE(image.Add(directory.entry, write).ok());
    ASSERT_TRUE(image.Add(small.entry, write).ok());
    ASSERT_TRUE(image.Add(Symlink("l", "d").entry, write).ok());
    ASSERT_TRUE(image.Finish().ok());
  }
  MountImage();
  EXPECT_EQ(Attribute(mounted_ + "/d", "user.x3"), std::string(60000, 'd'));
  EXPECT_EQ(layer::ReadFileForTest(mounted_ + "/l/x"), "data");
  Member strange = File("s");
  strange.entry.xattrs = {{"btrfs.compression", "zstd"}, {"trusted.overlay.redirect", "/etc"}};
  ASSERT_TRUE(MakeImage({strange}, image_).ok());
  MountImage();
  EXPECT_EQ(Attribute(mounted_ + "/s", "trusted.overlay.redirect"), "none");
}

TEST_F(ImageTest, HostileMembersAreRefusedAsInADirectory) {
  const std::vector<std::vector<Member>> hostile = {
      {File("../outside")},
      {Directory("a/../../b")},
      {Hardlink("a", "../victim")},
      {Hardlink("a", "a")},
      {Hardlink("a", "/")},
      {Hardlink("a", "missing")},
      {File("a"), File("a/b")},
      {Symlink("dangling", "nowhere"), File("dangling/b")},
      {Symlink("loop", "loop"), File("loop/b")},
      {Symlink("a", "b"), Symlink("b", "a"), File("a/b")},
      {Whiteout("x/.wh..")},
      {Whiteout(".wh.")},
      {File(".wh.x/below")},
      {File("")},
      {Directory("d"), Hardlink("h", "d")},
      {File(std::string(300, 'n'))},
  };
  for (size_t i = 0; i < hostile.size(); ++i) {
    TestDirectory root;
    const absl::Status in_directory =
        layer::ApplyBytes(layer::MakeTar(hostile[i]), root.path(), layer::WhiteoutStyle::kOverlay)
            .status();
    const absl::Status in_image = MakeImage(hostile[i], image_);
    EXPECT_EQ(in_image.ok(), in_directory.ok()) << i << ": " << in_image << " / " << in_directory;
    EXPECT_FALSE(in_image.ok()) << i;
    // Without its superblock it is no image.
    EXPECT_FALSE(MountDetached(image_).ok());
    EXPECT_FALSE(ReadImageInfo(*OpenFile(image_, O_RDONLY)).ok());
  }
  // A link out of the root leads back into it.
  ASSERT_TRUE(
      MakeImage({Directory("etc"), Symlink("up", "../../../../etc"), File("up/x", "in")}, image_)
          .ok());
  MountImage();
  EXPECT_EQ(layer::ReadFileForTest(mounted_ + "/etc/x"), "in");
}

TEST_F(ImageTest, WhatTheLayersBelowKnowIsTakenFromThem) {
  TestDirectory lower;
  Shell(absl::StrCat("mkdir -p ", lower / "var/tmp", "; chmod 1777 ", lower / "var/tmp",
                     "; chown 3:4 ", lower / "var/tmp", "; echo -n below > ", lower / "tool",
                     "; chown 5:6 ", lower / "tool"));
  const auto lowers = [&] {
    std::vector<UniqueFd> result;
    result.push_back(layer::OpenDirectoryForTest(lower.path()));
    return result;
  };
  const std::vector<Member> members = {File("var/tmp/a"), Hardlink("copy", "tool")};
  EXPECT_EQ(MakeImage(members, image_, {}, layer::Below::kUnknown).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(MakeImage(members, image_, lowers()).ok());
  MountImage();
  struct stat info;
  ASSERT_EQ(::stat((mounted_ + "/var/tmp").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 01777u);
  EXPECT_EQ(info.st_uid, 3u);
  ASSERT_EQ(::stat((mounted_ + "/copy").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 5u);
  EXPECT_EQ(info.st_nlink, 2u);
  EXPECT_EQ(layer::ReadFileForTest(mounted_ + "/tool"), "below");
}

TEST_F(ImageTest, TheSameLayerGivesTheSameImageAndDamageIsNoticed) {
  const std::vector<Member> members = {Directory("d"), File("d/x", std::string(9000, 'q')),
                                       Symlink("l", "d")};
  ASSERT_TRUE(MakeImage(members, image_).ok());
  const std::string other = directory_ / "other.erofs";
  ASSERT_TRUE(MakeImage(members, other).ok());
  EXPECT_EQ(layer::ReadFileForTest(image_), layer::ReadFileForTest(other));
  const absl::StatusOr<ImageInfo> info = ReadImageInfo(*OpenFile(image_, O_RDONLY));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->inodes, 4u);
  struct stat file;
  ASSERT_EQ(::stat(image_.c_str(), &file), 0);
  EXPECT_EQ(info->blocks * 4096, static_cast<uint64_t>(file.st_size));
  // dump.erofs reads the same of it.
  Shell(absl::StrCat("dump.erofs -s ", image_, " | grep -q 'Filesystem inode count: *4$'"));
  const UniqueFd damaged = *OpenFile(image_, O_RDWR);
  ASSERT_EQ(::pwrite(damaged.get(), "\xff", 1, 1024 + 20), 1);
  EXPECT_EQ(ReadImageInfo(damaged).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(MountDetached(image_).ok());
}

TEST_F(ImageTest, ADirectoryBecomesAnImage) {
  Shell(absl::StrCat(
      "cd ", plain_, " && mkdir -p a/b/c e && echo hello > a/b/file && ln a/b/file a/hard && ",
      "ln -s ../x a/link && mknod dev b 8 1 && mkfifo pipe && mknod white c 0 0 && ",
      "chown 12:34 a/b && chmod 1777 e && setfattr -n user.k -v value a/b/file && ",
      "setfattr -n trusted.overlay.opaque -v y e && touch -h -d @1500000000.25 a/link && ",
      "dd if=/dev/urandom of=big bs=1000 count=777 2> /dev/null && cp -r /etc copy && ",
      "chmod 0710 ."));
  {
    const UniqueFd file = NewFile(image_);
    const absl::Status written = WriteTreeImage(layer::OpenDirectoryForTest(plain_), file);
    ASSERT_TRUE(written.ok()) << written;
  }
  MountImage();
  EXPECT_EQ(layer::DescribeTree(mounted_), layer::DescribeTree(plain_));
  EXPECT_EQ(Attribute(mounted_ + "/e", "trusted.overlay.opaque"), "y");
  struct stat info;
  ASSERT_EQ(::stat(mounted_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0710u);
}

}  // namespace
}  // namespace berth::erofs
