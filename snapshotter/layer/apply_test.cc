// Unpacking: what a layer may do, and what a hostile one may not. Needs root (device nodes, owners,
// trusted.* attributes).
#include "snapshotter/layer/apply.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "snapshotter/layer/layer_test_support.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

struct stat Stat(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info;
}

bool IsWhiteout(const std::string& path) {
  const struct stat info = Stat(path);
  return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

std::string Attribute(const std::string& path, const std::string& name) {
  char value[256];
  const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value, sizeof(value));
  return size < 0 ? "none" : std::string(value, static_cast<size_t>(size));
}

absl::Status Apply(const std::vector<Member>& members, const std::string& root,
                   WhiteoutStyle style = WhiteoutStyle::kOverlay) {
  return ApplyBytes(MakeTar(members), root, style).status();
}

class ApplyTest : public ::testing::Test {
 protected:
  TestDirectory directory_;
  const std::string root_ = directory_ / "root";
  const std::string outside_ = directory_ / "outside";
  void SetUp() override {
    Shell(absl::StrCat("mkdir ", root_, " ", outside_, " && echo keep > ", outside_, "/victim"));
  }
  void ExpectOutsideUntouched() {
    EXPECT_EQ(ReadFileForTest(outside_ + "/victim"), "keep\n");
    Shell(absl::StrCat("test \"$(ls -A ", outside_, ")\" = victim"));
    Shell(
        absl::StrCat("test \"$(ls -A ", directory_.path(), " | tr '\\n' ' ')\" = 'outside root '"));
  }
};

TEST_F(ApplyTest, AllKindsOfFilesKeepAllTheirProperties) {
  Member file = File("bin/su", "program");
  file.entry.permissions = 04755;
  file.entry.uid = 7;
  file.entry.gid = 3000000;
  file.entry.xattrs = {
      {"security.capability", std::string("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
      {"user.note", "hello"}};
  Member device = {FileEntry("dev/null", 0666), ""};
  device.entry.type = EntryType::kCharDevice;
  device.entry.device = makedev(1, 3);
  Member fifo = {FileEntry("run/fifo", 0600), ""};
  fifo.entry.type = EntryType::kFifo;
  Member tmp = Directory("tmp");
  tmp.entry.permissions = 01777;
  Member old = File("old");
  old.entry.modified = {-5, 0};
  const std::string long_name = "long/" + std::string(200, 'n') + "/" + std::string(200, 'm');
  ASSERT_TRUE(Apply({tmp, file, device, fifo, old, Symlink("link", "/bin/su"),
                     Hardlink("bin/su2", "bin/su"), File(long_name), File("e\xcc\x81-decomposed"),
                     File("raw-\xff\xfe")},
                    root_)
                  .ok());

  struct stat info = Stat(root_ + "/bin/su");
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFREG | 04755));
  EXPECT_EQ(info.st_uid, 7u);
  EXPECT_EQ(info.st_gid, 3000000u);
  EXPECT_EQ(info.st_nlink, 2u);
  EXPECT_EQ(info.st_mtim.tv_sec, 1700000000);
  EXPECT_EQ(info.st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(Attribute(root_ + "/bin/su", "user.note"), "hello");
  EXPECT_EQ(Attribute(root_ + "/bin/su", "security.capability").size(), 20u);
  EXPECT_EQ(Stat(root_ + "/bin/su2").st_ino, info.st_ino);
  EXPECT_EQ(Stat(root_ + "/tmp").st_mode, static_cast<mode_t>(S_IFDIR | 01777));
  EXPECT_EQ(Stat(root_ + "/tmp").st_mtim.tv_nsec, 123456789);
  info = Stat(root_ + "/dev/null");
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFCHR | 0666));
  EXPECT_EQ(info.st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISFIFO(Stat(root_ + "/run/fifo").st_mode));
  EXPECT_EQ(Stat(root_ + "/old").st_mtim.tv_sec, -5);
  EXPECT_TRUE(Exists(root_ + "/" + long_name));
  EXPECT_TRUE(Exists(root_ + "/e\xcc\x81-decomposed"));
  EXPECT_TRUE(Exists(root_ + "/raw-\xff\xfe"));
}

TEST_F(ApplyTest, DirectoriesGetTheirTimesAfterTheirContents) {
  ASSERT_TRUE(Apply({Directory("a"), Directory("a/b"), File("a/b/c"), File("a/d")}, root_).ok());
  EXPECT_EQ(Stat(root_ + "/a").st_mtim.tv_sec, 1700000000);
  EXPECT_EQ(Stat(root_ + "/a/b").st_mtim.tv_sec, 1700000000);
}

TEST_F(ApplyTest, BothDigestsAreTakenAndChecked) {
  const std::string tar = MakeTar({File("a", std::string(1000000, 'x'))});
  for (Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const std::string blob = Compress(kind, tar);
    ApplyOptions options;
    options.expected = HashString(blob);
    const auto result = ApplyBytes(blob, root_, WhiteoutStyle::kOverlay, options);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->diff_id, HashString(tar));
    EXPECT_EQ(result->size_bytes, tar.size());
  }
}

TEST_F(ApplyTest, BytesBehindTheArchiveBelongToItsDigest) {
  const std::string tar = MakeTar({File("a")}) + std::string(10240, '\0') + "junk";
  const auto result = ApplyBytes(tar, root_, WhiteoutStyle::kOverlay);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->diff_id, HashString(tar));
  EXPECT_EQ(result->size_bytes, tar.size());
}

TEST_F(ApplyTest, ABlobThatIsNotItsDigestIsDataLoss) {
  const std::string good = Compress(Compression::kGzip, MakeTar({File("a"), File("b")}));
  ApplyOptions options;
  options.expected = HashString(good);
  std::string damaged = good;
  damaged[good.size() / 2] ^= 1;
  for (const std::string& blob : {damaged, good.substr(0, good.size() - 20), good + "x",
                                  std::string(), MakeTar({File("c")})}) {
    const auto result = ApplyBytes(blob, root_, WhiteoutStyle::kOverlay, options);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss) << result.status();
    EXPECT_TRUE(absl::StrContains(result.status().message(), options.expected->text()));
  }
}

TEST_F(ApplyTest, TruncatedArchivesAreRefused) {
  const std::string tar = MakeTar({File("a", std::string(5000, 'x')), File("b")});
  EXPECT_EQ(ApplyBytes(tar.substr(0, 3000), root_, WhiteoutStyle::kOverlay).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ApplyBytes(tar.substr(0, 300), root_, WhiteoutStyle::kOverlay).status().code(),
            absl::StatusCode::kInvalidArgument);
  const std::string gzip = Compress(Compression::kGzip, tar);
  const auto result =
      ApplyBytes(gzip.substr(0, gzip.size() / 2), root_, WhiteoutStyle::kOverlay).status();
  EXPECT_EQ(result.code(), absl::StatusCode::kInvalidArgument) << result;
  EXPECT_EQ(ApplyBytes(std::string(4096, 'z'), root_, WhiteoutStyle::kOverlay).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ApplyTest, AnEmptyBlobIsAnEmptyLayer) {
  EXPECT_TRUE(ApplyBytes("", root_, WhiteoutStyle::kOverlay).ok());
  EXPECT_TRUE(ApplyBytes(MakeTar({}), root_, WhiteoutStyle::kOverlay).ok());
}

TEST_F(ApplyTest, DotDotIsRefusedInNamesAndLinks) {
  for (const Member& member :
       {File("../outside/new"), File("a/../../outside/new"), File("/../outside/new"), File(".."),
        Directory("../outside"), Symlink("../outside/link", "x"),
        Hardlink("a", "../outside/victim"), Whiteout("../outside/.wh.victim"),
        Whiteout("../.wh.outside"), Whiteout("../outside/.wh..wh..opq")}) {
    for (WhiteoutStyle style : {WhiteoutStyle::kOverlay, WhiteoutStyle::kDelete}) {
      const absl::Status status = Apply({member}, root_, style);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << member.entry.path;
      EXPECT_TRUE(absl::StrContains(status.message(), member.entry.path)) << status;
    }
  }
  ExpectOutsideUntouched();
}

TEST_F(ApplyTest, WhiteoutsOfDotsAreRefused) {
  for (const char* name : {".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh.."}) {
    for (WhiteoutStyle style : {WhiteoutStyle::kOverlay, WhiteoutStyle::kDelete}) {
      EXPECT_EQ(Apply({Directory("a"), Whiteout(name)}, root_, style).code(),
                absl::StatusCode::kInvalidArgument)
          << name;
    }
  }
  EXPECT_EQ(Apply({File(".wh.a/b")}, root_).code(), absl::StatusCode::kInvalidArgument);
  ExpectOutsideUntouched();
}

TEST_F(ApplyTest, LinksInPathsNeverLeadOut) {
  for (const std::string& target :
       {outside_, std::string("../outside"), std::string("../../../../../.."), std::string("/")}) {
    for (WhiteoutStyle style : {WhiteoutStyle::kOverlay, WhiteoutStyle::kDelete}) {
      const std::string prefix = target == "/" || target[1] == '.' ? outside_ : "";
      // Some of these succeed inside the root, some are refused: outside nothing may happen.
      (void)Apply({Symlink("evil", target), File("evil" + prefix + "/new")}, root_, style);
      (void)Apply({Symlink("evil", target), File("evil" + prefix + "/victim", "bad")}, root_,
                  style);
      (void)Apply({Symlink("evil", target), Directory("evil" + prefix + "/new")}, root_, style);
      (void)Apply({Symlink("evil", target), Whiteout("evil" + prefix + "/.wh.victim")}, root_,
                  style);
      (void)Apply({Symlink("evil", target), Whiteout("evil" + prefix + "/.wh..wh..opq")}, root_,
                  style);
      (void)Apply({Symlink("evil", target), Hardlink("stolen", "evil" + prefix + "/victim")}, root_,
                  style);
      if (Exists(root_ + "/stolen")) {
        EXPECT_NE(ReadFileForTest(root_ + "/stolen"), "keep\n");
      }
      ExpectOutsideUntouched();
      Shell(absl::StrCat("rm -rf ", root_, " && mkdir ", root_));
    }
  }
}

TEST_F(ApplyTest, AMemberReplacesALinkAndIsNeverWrittenThroughIt) {
  ASSERT_TRUE(Apply({Symlink("file", outside_ + "/victim"), File("file", "bad"),
                     Symlink("directory", outside_), Directory("directory"),
                     File("directory/victim", "bad"), Symlink("node", outside_ + "/victim"),
                     Hardlink("node", "file")},
                    root_)
                  .ok());
  ExpectOutsideUntouched();
  EXPECT_EQ(ReadFileForTest(root_ + "/file"), "bad");
  EXPECT_EQ(ReadFileForTest(root_ + "/directory/victim"), "bad");
}

TEST_F(ApplyTest, AHardLinkToALinkIsTheLinkItself) {
  const absl::Status linked =
      Apply({Symlink("a", outside_ + "/victim"), Hardlink("b", "a")}, root_);
  ASSERT_TRUE(linked.ok()) << linked;
  EXPECT_TRUE(S_ISLNK(Stat(root_ + "/b").st_mode));
  const Member chmod = {FileEntry("b", 0777), "bad"};
  ASSERT_TRUE(Apply({chmod}, root_).ok());
  ExpectOutsideUntouched();
}

TEST_F(ApplyTest, ADeviceIsReplacedAndNeverWrittenTo) {
  Member zero = {FileEntry("device"), ""};
  zero.entry.type = EntryType::kCharDevice;
  zero.entry.device = makedev(1, 5);
  ASSERT_TRUE(
      Apply({zero, Hardlink("second", "device"), File("device", "a"), File("second", "b")}, root_)
          .ok());
  EXPECT_EQ(ReadFileForTest(root_ + "/device"), "a");
  EXPECT_EQ(ReadFileForTest(root_ + "/second"), "b");
}

TEST_F(ApplyTest, HardLinksToNothingSayWhatIsMissing) {
  for (const Member& link : {Hardlink("a", "missing"), Hardlink("a", "no/such/file"),
                             Hardlink("a", "a"), Hardlink("a", "/"), Hardlink("a", "")}) {
    const absl::Status status = Apply({link}, root_);
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(absl::StrContains(status.message(), "hard link") || link.entry.link_target.empty())
        << status;
  }
}

TEST_F(ApplyTest, ATrailingFileInThePathIsRefused) {
  EXPECT_EQ(Apply({File("a"), File("a/b")}, root_).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Apply({Symlink("dangling", "nowhere"), File("dangling/b")}, root_).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ApplyTest, OverlayStateInAnArchiveIsDropped) {
  Member directory = Directory("d");
  directory.entry.xattrs = {{"trusted.overlay.redirect", "/etc"},
                            {"trusted.overlay.opaque", "y"},
                            {"user.overlay.opaque", "y"},
                            {"security.selinux", "x"},
                            {"user.kept", "1"}};
  ASSERT_TRUE(Apply({directory}, root_).ok());
  EXPECT_EQ(Attribute(root_ + "/d", "trusted.overlay.redirect"), "none");
  EXPECT_EQ(Attribute(root_ + "/d", "trusted.overlay.opaque"), "none");
  EXPECT_EQ(Attribute(root_ + "/d", "user.overlay.opaque"), "none");
  EXPECT_EQ(Attribute(root_ + "/d", "user.kept"), "1");
}

TEST_F(ApplyTest, TheRootKeepsItsOwnMode) {
  Member root = Directory("./");
  root.entry.permissions = 0700;
  ASSERT_TRUE(Apply({root, File("./a")}, root_).ok());
  EXPECT_EQ(Stat(root_).st_mode & 07777, 0755u);
  EXPECT_FALSE(Apply({File("./")}, root_).ok() && !Exists(root_ + "/a"));
}

TEST_F(ApplyTest, WhiteoutsInAnOverlayAreDevicesAndOpaqueMarks) {
  ASSERT_TRUE(
      Apply({Directory("etc"), Whiteout("etc/.wh.passwd"), Whiteout(".wh.gone"), Directory("var"),
             Whiteout("var/.wh..wh..opq"), File("var/new"), Whiteout("var/.wh..wh.aufs")},
            root_)
          .ok());
  EXPECT_TRUE(IsWhiteout(root_ + "/etc/passwd"));
  EXPECT_TRUE(IsWhiteout(root_ + "/gone"));
  EXPECT_EQ(Attribute(root_ + "/var", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Attribute(root_ + "/etc", "trusted.overlay.opaque"), "none");
  Shell(absl::StrCat("test -z \"$(find ", root_, " -name '.wh*')\""));
}

TEST_F(ApplyTest, AWhiteoutBesideADirectoryOfTheSameLayerMakesItOpaque) {
  for (const std::vector<Member>& members :
       {std::vector<Member>{Directory("d"), File("d/new"), Whiteout(".wh.d")},
        std::vector<Member>{Whiteout(".wh.d"), Directory("d"), File("d/new")}}) {
    ASSERT_TRUE(Apply(members, root_).ok());
    EXPECT_EQ(ReadFileForTest(root_ + "/d/new"), "data");
    EXPECT_EQ(Attribute(root_ + "/d", "trusted.overlay.opaque"), "y");
    Shell(absl::StrCat("rm -rf ", root_, " && mkdir ", root_));
  }
}

TEST_F(ApplyTest, UserXattrOverlaysGetTheirOwnMark) {
  ASSERT_TRUE(
      Apply({Directory("d"), Whiteout("d/.wh..wh..opq")}, root_, WhiteoutStyle::kOverlayUserXattr)
          .ok());
  EXPECT_EQ(Attribute(root_ + "/d", "user.overlay.opaque"), "y");
}

TEST_F(ApplyTest, WhiteoutsInAPlainDirectoryDelete) {
  Shell(absl::StrCat("cd ", root_, " && mkdir -p etc var/deep/er gone/dir && touch etc/passwd ",
                     "etc/group var/a var/deep/b var/deep/er/c gone/dir/x"));
  ASSERT_TRUE(Apply({Whiteout("etc/.wh.passwd"), Whiteout(".wh.gone"), Directory("var/deep"),
                     File("var/deep/new"), Whiteout("var/.wh..wh..opq"), Whiteout(".wh.never")},
                    root_, WhiteoutStyle::kDelete)
                  .ok());
  EXPECT_FALSE(Exists(root_ + "/etc/passwd"));
  EXPECT_TRUE(Exists(root_ + "/etc/group"));
  EXPECT_FALSE(Exists(root_ + "/gone"));
  EXPECT_FALSE(Exists(root_ + "/var/a"));
  EXPECT_FALSE(Exists(root_ + "/var/deep/b"));
  EXPECT_FALSE(Exists(root_ + "/var/deep/er"));
  EXPECT_TRUE(Exists(root_ + "/var/deep/new"));
  EXPECT_FALSE(Exists(root_ + "/never"));
}

TEST_F(ApplyTest, AWhiteoutSparesWhatTheSameLayerMade) {
  Shell(absl::StrCat("cd ", root_, " && mkdir d && touch d/old f"));
  ASSERT_TRUE(Apply({File("d/new"), Whiteout(".wh.d"), File("f", "new"), Whiteout(".wh.f")}, root_,
                    WhiteoutStyle::kDelete)
                  .ok());
  EXPECT_TRUE(Exists(root_ + "/d/new"));
  EXPECT_FALSE(Exists(root_ + "/d/old"));
  EXPECT_EQ(ReadFileForTest(root_ + "/f"), "new");
}

TEST_F(ApplyTest, FilesReplaceDirectoriesAndDirectoriesFiles) {
  Shell(absl::StrCat("cd ", root_, " && mkdir -p was-directory/sub && touch was-directory/sub/x ",
                     "was-file && mkdir kept && touch kept/old"));
  ASSERT_TRUE(Apply({File("was-directory"), Directory("was-file"), Directory("kept")}, root_,
                    WhiteoutStyle::kDelete)
                  .ok());
  EXPECT_TRUE(S_ISREG(Stat(root_ + "/was-directory").st_mode));
  EXPECT_TRUE(S_ISDIR(Stat(root_ + "/was-file").st_mode));
  EXPECT_TRUE(Exists(root_ + "/kept/old"));
}

TEST_F(ApplyTest, MissingDirectoriesLookLikeThoseOfTheLayersBelow) {
  TestDirectory lowers;
  Shell(absl::StrCat("cd ", lowers.path(), " && mkdir -p near far/tmp far/a/b near/a && ",
                     "chmod 1777 far/tmp && chown 5:6 far/a/b && chmod 0750 near/a && ",
                     "setfattr -n user.x -v y far/a/b 2>/dev/null || true"));
  const auto result =
      ApplyBytes(MakeTar({File("tmp/file"), File("a/b/file"), File("new/file")}), root_,
                 WhiteoutStyle::kOverlay, {}, {lowers / "near", lowers / "far"});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Stat(root_ + "/tmp").st_mode & 07777, 01777u);
  EXPECT_EQ(Stat(root_ + "/a").st_mode & 07777, 0750u);
  EXPECT_EQ(Stat(root_ + "/a/b").st_uid, 5u);
  EXPECT_EQ(Stat(root_ + "/a/b").st_gid, 6u);
  EXPECT_EQ(Stat(root_ + "/a/b").st_mtim.tv_sec, Stat(lowers / "far/a/b").st_mtim.tv_sec);
  EXPECT_EQ(Stat(root_ + "/new").st_mode & 07777, 0755u);
}

TEST_F(ApplyTest, WhatOnlyTheParentKnowsIsAskedForOnce) {
  const auto needs_parent = [&](const std::vector<Member>& members) {
    TestDirectory root;
    TreeWriter writer(OpenDirectoryForTest(root.path()), WhiteoutStyle::kOverlay, {},
                      Below::kUnknown);
    const absl::Status status = ApplyLayer(MemoryFile(MakeTar(members)), {}, writer).status();
    EXPECT_EQ(status.ok(), !writer.needs_parent()) << status;
    EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
    return writer.needs_parent();
  };
  EXPECT_FALSE(needs_parent({Directory("var"), Directory("var/tmp"), File("var/tmp/a")}));
  EXPECT_FALSE(needs_parent({Directory("var"), layer::Whiteout("var/.wh.a"), File("b")}));
  EXPECT_FALSE(needs_parent({File("a"), Hardlink("b", "a")}));
  EXPECT_TRUE(needs_parent({Directory("var"), File("var/tmp/a")}));
  EXPECT_TRUE(needs_parent({layer::Whiteout("var/tmp/.wh.a")}));
  EXPECT_TRUE(needs_parent({Hardlink("b", "a")}));
  EXPECT_TRUE(needs_parent({Directory("usr"), Hardlink("usr/b", "bin/a")}));
}

TEST_F(ApplyTest, WithoutAParentWhiteoutsAreMarkedAndNothingIsDeleted) {
  TreeWriter writer(OpenDirectoryForTest(root_), WhiteoutStyle::kOverlay, {}, Below::kUnknown);
  ASSERT_TRUE(ApplyLayer(MemoryFile(MakeTar({layer::Whiteout(".wh.gone"), Directory("all"),
                                             layer::Whiteout("all/.wh..wh..opq"), File("all/x")})),
                         {}, writer)
                  .ok());
  EXPECT_TRUE(IsWhiteout(root_ + "/gone"));
  EXPECT_EQ(Attribute(root_ + "/all", "trusted.overlay.opaque"), "y");
}

TEST_F(ApplyTest, HardLinksIntoTheLayersBelowTakeTheFileOver) {
  TestDirectory near;
  TestDirectory far;
  Shell(absl::StrCat("mkdir -p ", far / "bin ", far / "old ", near / "old; echo -n far > ",
                     far / "bin/tool; chmod 4751 ", far / "bin/tool; chown 7:8 ",
                     far / "bin/tool; ", "chmod u+s ", far / "bin/tool; touch -d @1000000000 ",
                     far / "bin/tool; ", "echo -n x > ", far / "old/hidden; echo -n x > ",
                     far / "deleted; ", "setfattr -n trusted.overlay.opaque -v y ",
                     near / "old; mknod ", near / "deleted c 0 0"));
  const auto apply = [&](const std::vector<Member>& members, const std::string& root) {
    std::vector<UniqueFd> lowers;
    lowers.push_back(OpenDirectoryForTest(near.path()));
    lowers.push_back(OpenDirectoryForTest(far.path()));
    TreeWriter writer(OpenDirectoryForTest(root), WhiteoutStyle::kOverlay, std::move(lowers));
    return ApplyLayer(MemoryFile(MakeTar(members)), {}, writer).status();
  };
  ASSERT_TRUE(apply({Directory("sbin"), Hardlink("sbin/tool", "bin/tool")}, root_).ok());
  const struct stat taken = Stat(root_ + "/bin/tool");
  EXPECT_EQ(Stat(root_ + "/sbin/tool").st_ino, taken.st_ino);
  EXPECT_EQ(taken.st_mode & 07777, 04751u);
  EXPECT_EQ(taken.st_uid, 7u);
  EXPECT_EQ(taken.st_gid, 8u);
  EXPECT_EQ(taken.st_mtim.tv_sec, 1000000000);
  EXPECT_EQ(ReadFileForTest(root_ + "/sbin/tool"), "far");
  for (const char* target : {"old/hidden", "deleted", "missing", "bin"}) {
    TestDirectory root;
    EXPECT_EQ(apply({Hardlink("link", target)}, root.path()).code(),
              absl::StatusCode::kInvalidArgument)
        << target;
  }
  TestDirectory root;
  EXPECT_EQ(
      apply({layer::Whiteout("bin/.wh.tool"), Hardlink("link", "bin/tool")}, root.path()).code(),
      absl::StatusCode::kInvalidArgument);
}

TEST_F(ApplyTest, ArchivesOfGnuTarInAllFormatsUnpackTheSame) {
  TestDirectory source;
  const std::string tree = source / "tree";
  Shell(absl::StrCat("mkdir -p ", tree, "/sub && cd ", tree,
                     " && echo hi > plain && ln plain sub/hard && ln -s ../plain sub/soft && ",
                     "truncate -s 3M sparse && printf x | dd of=sparse bs=1 seek=1000000 ",
                     "conv=notrunc status=none && mkdir -p ", std::string(120, 'd'), " && touch ",
                     std::string(120, 'd'), "/", std::string(90, 'f')));
  for (const char* format :
       {"--format=gnu -S", "--format=pax -S --sparse-version=1.0",
        "--format=pax -S --sparse-version=0.1", "--format=pax -S --sparse-version=0.0",
        "--format=gnu", "--format=pax"}) {
    Shell(absl::StrCat("tar ", format, " -C ", tree, " -cf ", source / "tar", " ."));
    const auto result = ApplyBytes(ReadFileForTest(source / "tar"), root_, WhiteoutStyle::kOverlay);
    ASSERT_TRUE(result.ok()) << format << result.status();
    Shell(absl::StrCat("diff -r ", tree, " ", root_));
    EXPECT_EQ(Stat(root_ + "/plain").st_ino, Stat(root_ + "/sub/hard").st_ino) << format;
    if (absl::StrContains(format, "-S")) {
      EXPECT_LT(Stat(root_ + "/sparse").st_blocks * 512, 200000) << format;
    }
    Shell(absl::StrCat("rm -rf ", root_, " && mkdir ", root_));
  }
}

TEST_F(ApplyTest, AFullDiskSaysSoAndWhatToDo) {
  ASSERT_EQ(::mount("tmpfs", root_.c_str(), "tmpfs", 0, "size=1m"), 0);
  const absl::Status status =
      ApplyBytes(MakeTar({File("big", std::string(3u << 20, 'x'))}), root_, WhiteoutStyle::kOverlay)
          .status();
  EXPECT_EQ(::umount2(root_.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "full")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "\"big\"")) << status;
}

TEST_F(ApplyTest, CancellationStopsIt) {
  std::atomic<bool> cancelled{true};
  ApplyOptions options;
  options.cancelled = &cancelled;
  EXPECT_EQ(
      ApplyBytes(MakeTar({File("a")}), root_, WhiteoutStyle::kOverlay, options).status().code(),
      absl::StatusCode::kCancelled);
}

TEST(CheckLayerMediaTypeTest, KnowsLayersAndSaysWhyNot) {
  for (const char* type :
       {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}) {
    EXPECT_TRUE(CheckLayerMediaType(type).ok()) << type;
  }
  for (const char* type : {"", "application/json", "application/vnd.oci.image.layer.v1.tar+xz",
                           "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}) {
    EXPECT_EQ(CheckLayerMediaType(type).code(), absl::StatusCode::kUnimplemented) << type;
  }
  EXPECT_TRUE(absl::StrContains(
      CheckLayerMediaType("application/vnd.oci.image.layer.v1.tar+gzip+encrypted").message(),
      "encrypted"));
}

}  // namespace
}  // namespace berth::layer
