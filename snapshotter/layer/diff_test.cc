// Making layers from trees, and that a layer made from a tree makes the tree again. Needs root.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "snapshotter/layer/apply.h"
#include "snapshotter/layer/layer_test_support.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {
namespace {

using Names = std::vector<std::string>;

// A tree with every property a layer can carry.
void MakeRichTree(const std::string& path) {
  Shell(absl::StrCat(
      "mkdir -p ", path, " && cd ", path,
      " && mkdir -p bin etc/deep empty && echo program > bin/su && chmod 4755 bin/su && "
      "ln bin/su bin/su2 && ln -s ../bin/su etc/link && mknod etc/null c 1 3 && mkfifo etc/fifo && "
      "truncate -s 2M etc/sparse && echo x >> etc/sparse && chown 12:3456789 etc/deep && "
      "touch -d '2001-02-03 04:05:06.789012345' etc/deep/dated && "
      "touch \"etc/$(printf 'e\\314\\201')\" && mkdir -p ",
      std::string(130, 'x'), "/", std::string(130, 'y'), " && touch ", std::string(130, 'x'), "/",
      std::string(130, 'y'), "/", std::string(130, 'z'),
      " && touch -d '2002-01-01' bin etc/deep empty etc"));
  ASSERT_EQ(::setxattr((path + "/bin/su").c_str(), "user.binary", "a\0b\n=", 5, 0), 0);
  ASSERT_EQ(::setxattr((path + "/etc/deep").c_str(), "trusted.thing", "1", 1, 0), 0);
}

TEST(DiffTest, ATreeThatBecameALayerBecomesTheSameTree) {
  TestDirectory directory;
  const std::string tree = directory / "tree";
  MakeRichTree(tree);
  for (Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const auto tar = TreeDiffBytes("", tree);
    ASSERT_TRUE(tar.ok()) << tar.status();
    const std::string again = directory / absl::StrCat("again", static_cast<int>(kind));
    Shell("mkdir " + again);
    const auto applied = ApplyBytes(Compress(kind, *tar), again, WhiteoutStyle::kOverlay);
    ASSERT_TRUE(applied.ok()) << applied.status();
    EXPECT_EQ(DescribeTree(again), DescribeTree(tree));
    const auto second = TreeDiffBytes("", again);
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_TRUE(*second == *tar) << "the layer of the copy differs";
  }
}

TEST(DiffTest, GnuTarReadsIt) {
  TestDirectory directory;
  const std::string tree = directory / "tree";
  MakeRichTree(tree);
  const auto tar = TreeDiffBytes("", tree);
  ASSERT_TRUE(tar.ok()) << tar.status();
  Shell("mkdir " + (directory / "gnu"));
  {
    const std::string archive = directory / "layer.tar";
    FILE* file = ::fopen(archive.c_str(), "w");
    ::fwrite(tar->data(), 1, tar->size(), file);
    ::fclose(file);
    Shell(absl::StrCat("tar --xattrs --xattrs-include='*' --same-owner -p -xf ", archive, " -C ",
                       directory / "gnu"));
  }
  EXPECT_EQ(DescribeTree(directory / "gnu"), DescribeTree(tree));
}

TEST(DiffTest, ComparisonFindsWhatChangedAndNothingElse) {
  TestDirectory directory;
  const std::string older = directory / "older";
  const std::string newer = directory / "newer";
  Shell(absl::StrCat(
      "mkdir ", older, " && cd ", older,
      " && mkdir -p same/sub changed gone/sub meta type && touch same/sub/f ",
      "changed/f changed/kept gone/sub/f meta/mode meta/owner meta/attribute ",
      "meta/time type/file && mkdir type/directory && ln -s a meta/link && ", "cp -a ", older, " ",
      newer, " && cd ", newer,
      " && echo x > changed/f && touch new && rm -r gone && chmod 600 meta/mode && ",
      "chown 5 meta/owner && touch meta/time && ", "ln -sfn b meta/link && touch -hr ", older,
      "/meta/link meta/link && ", "rm type/file && mkdir type/file && rmdir type/directory && ",
      "touch type/directory && touch -r ", older, "/meta meta && touch -r ", older, "/type type"));
  ASSERT_EQ(::setxattr((newer + "/meta/attribute").c_str(), "user.a", "1", 1, 0), 0);
  const auto tar = TreeDiffBytes(older, newer);
  ASSERT_TRUE(tar.ok()) << tar.status();
  EXPECT_EQ(NamesInTar(*tar), (Names{"changed/", "changed/f", ".wh.gone", "meta/", "meta/attribute",
                                     "meta/link", "meta/mode", "meta/owner", "meta/time", "new",
                                     "type/", "type/directory", "type/file/"}));
  // Applied to a copy of the older tree it makes the newer one.
  const std::string copy = directory / "copy";
  Shell(absl::StrCat("cp -a ", older, " ", copy));
  ASSERT_TRUE(ApplyBytes(*tar, copy, WhiteoutStyle::kDelete).ok());
  EXPECT_EQ(DescribeTree(copy), DescribeTree(newer));
}

TEST(DiffTest, EqualTreesGiveAnEmptyLayer) {
  TestDirectory directory;
  MakeRichTree(directory / "a");
  Shell(absl::StrCat("cp -a ", directory / "a", " ", directory / "b"));
  const auto tar = TreeDiffBytes(directory / "a", directory / "b");
  ASSERT_TRUE(tar.ok()) << tar.status();
  EXPECT_EQ(NamesInTar(*tar), Names());
}

TEST(DiffTest, DataIsComparedWhereTimesHaveNoNanoseconds) {
  TestDirectory directory;
  Shell(absl::StrCat("cd ", directory.path(), " && mkdir a b && echo 1 > a/f && echo 2 > b/f && ",
                     "touch -d 2001-01-01 a/f b/f && echo 3 > a/g && cp -p a/g b/g && ",
                     "touch -d 2001-01-01 a/g b/g"));
  const auto tar = TreeDiffBytes(directory / "a", directory / "b");
  ASSERT_TRUE(tar.ok()) << tar.status();
  EXPECT_EQ(NamesInTar(*tar), Names{"f"});
}

TEST(DiffTest, LaterTimesAreLimited) {
  TestDirectory directory;
  Shell(absl::StrCat("cd ", directory.path(), " && mkdir a b && touch -d @500 b/old && ",
                     "touch -d @2000.5 b/young && touch a/gone"));
  DiffOptions options;
  options.latest_time = absl::FromUnixSeconds(1000);
  const auto tar = TreeDiffBytes(directory / "a", directory / "b", options);
  ASSERT_TRUE(tar.ok()) << tar.status();
  Shell("mkdir " + (directory / "out"));
  ASSERT_TRUE(ApplyBytes(*tar, directory / "out", WhiteoutStyle::kOverlay).ok());
  struct stat info;
  ASSERT_EQ(::stat((directory / "out/old").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 500);
  ASSERT_EQ(::stat((directory / "out/young").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 1000);
  EXPECT_EQ(info.st_mtim.tv_nsec, 0);
}

TEST(DiffTest, NamesThatWouldReadAsWhiteoutsAreRefused) {
  TestDirectory directory;
  Shell(absl::StrCat("mkdir ", directory / "a", " && touch ", directory / "a/.wh.file"));
  EXPECT_EQ(TreeDiffBytes("", directory / "a").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// A real overlay, changed through its mount.
class OverlayDiffTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Shell(absl::StrCat(
        "cd ", directory_.path(), " && mkdir lower upper work merged && cd lower && ",
        "mkdir -p etc var/lib gone keep && echo a > etc/a && echo b > etc/b && ",
        "echo v > var/lib/v && echo g > gone/g && echo k > keep/k && ", "ln etc/b etc/b2"));
    Mount("");
  }
  void TearDown() override { ::umount2((directory_ / "merged").c_str(), MNT_DETACH); }

  void Mount(const std::string& more) {
    ::umount2((directory_ / "merged").c_str(), MNT_DETACH);
    const std::string options =
        absl::StrCat("lowerdir=", directory_ / "lower", ",upperdir=", directory_ / "upper",
                     ",workdir=", directory_ / "work", more);
    ASSERT_EQ(::mount("overlay", (directory_ / "merged").c_str(), "overlay", 0, options.c_str()),
              0);
  }
  void Change(const std::string& commands) {
    Shell(absl::StrCat("cd ", directory_ / "merged", " && ", commands));
  }

  TestDirectory directory_;
};

TEST_F(OverlayDiffTest, TheUpperDirectoryIsTheLayer) {
  Change(
      "echo new > new && echo changed > etc/a && rm etc/b && rm -r gone && rm -r var/lib && "
      "mkdir var/lib && echo w > var/lib/w && mkdir fresh && touch fresh/f");
  const auto tar = OverlayDiffBytes(directory_ / "upper", {directory_ / "lower"});
  ASSERT_TRUE(tar.ok()) << tar.status();
  EXPECT_EQ(NamesInTar(*tar),
            (Names{"etc/", "etc/a", "etc/.wh.b", "fresh/", "fresh/f", ".wh.gone", "new", "var/",
                   "var/lib/", "var/lib/.wh..wh..opq", "var/lib/w"}));
  // On a plain copy of the lower layer it gives what the overlay shows.
  const std::string copy = directory_ / "copy";
  Shell(absl::StrCat("cp -a ", directory_ / "lower", " ", copy));
  ASSERT_TRUE(ApplyBytes(*tar, copy, WhiteoutStyle::kDelete).ok());
  Shell(absl::StrCat("diff -r ", copy, " ", directory_ / "merged"));
  // As the upper directory of another overlay too, and the layer of that is the same layer.
  const std::string upper2 = directory_ / "upper2";
  Shell("mkdir " + upper2);
  ASSERT_TRUE(ApplyBytes(*tar, upper2, WhiteoutStyle::kOverlay, {}, {directory_ / "lower"}).ok());
  const auto again = OverlayDiffBytes(upper2, {directory_ / "lower"});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == *tar);
}

TEST_F(OverlayDiffTest, ComparingTheMountedTreesFindsTheSameFiles) {
  Change("echo new > new && echo changed > etc/a && rm etc/b && rm -r gone");
  const auto fast = OverlayDiffBytes(directory_ / "upper", {directory_ / "lower"});
  const auto slow = TreeDiffBytes(directory_ / "lower", directory_ / "merged");
  ASSERT_TRUE(fast.ok()) << fast.status();
  ASSERT_TRUE(slow.ok()) << slow.status();
  EXPECT_EQ(NamesInTar(*fast), NamesInTar(*slow));
}

TEST_F(OverlayDiffTest, RenamedDirectoriesAndMetadataCopiesNeedTheComparison) {
  Mount(",redirect_dir=on");
  Change("mv keep renamed");
  EXPECT_EQ(OverlayDiffBytes(directory_ / "upper", {directory_ / "lower"}).status().code(),
            absl::StatusCode::kAborted);
  Change("mv renamed keep");
  Mount(",metacopy=on");
  Change("chmod 600 etc/a");
  EXPECT_EQ(OverlayDiffBytes(directory_ / "upper", {directory_ / "lower"}).status().code(),
            absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace berth::layer
