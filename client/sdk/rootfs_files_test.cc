#include "client/sdk/rootfs_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"

namespace berth::client {
namespace {

class RootfsFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    base_ = absl::StrCat(::testing::TempDir(), "/berth-rootfs-",
                         ::testing::UnitTest::GetInstance()->current_test_info()->name());
    auto parent = OpenFile(::testing::TempDir(), O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(parent.ok());
    ASSERT_TRUE(RemoveTreeAt(*parent, base_.substr(base_.rfind('/') + 1)).ok());
    for (const char* layer : {"/upper/etc", "/top/etc", "/bottom/etc"}) {
      ASSERT_TRUE(EnsureDirectory(absl::StrCat(base_, layer), 0755).ok());
    }
  }

  void Write(absl::string_view path, absl::string_view text) {
    auto file = OpenFile(absl::StrCat(base_, "/", path), O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(file.ok() && WriteAll(*file, text).ok());
  }

  Mounts Overlay() const {
    containerd::types::Mount mount;
    mount.set_type("overlay");
    mount.add_options("index=off");
    mount.add_options(absl::StrCat("lowerdir=", base_, "/top:", base_, "/bottom"));
    mount.add_options(absl::StrCat("upperdir=", base_, "/upper"));
    return {mount};
  }

  std::string base_;
};

TEST_F(RootfsFilesTest, TheTopmostLayerThatHasTheFileWins) {
  Write("bottom/etc/passwd", "bottom");
  EXPECT_EQ(*ReadRootfsFile(Overlay(), "etc/passwd"), "bottom");
  Write("top/etc/passwd", "top");
  EXPECT_EQ(*ReadRootfsFile(Overlay(), "etc/passwd"), "top");
  Write("upper/etc/passwd", "upper");
  EXPECT_EQ(*ReadRootfsFile(Overlay(), "etc/passwd"), "upper");
}

TEST_F(RootfsFilesTest, AWhiteoutHidesTheLayersBelow) {
  if (::geteuid() != 0) GTEST_SKIP() << "making a device node needs root";
  Write("bottom/etc/passwd", "bottom");
  ASSERT_EQ(::mknod(absl::StrCat(base_, "/top/etc/passwd").c_str(), S_IFCHR, ::makedev(0, 0)), 0);
  EXPECT_TRUE(absl::IsNotFound(ReadRootfsFile(Overlay(), "etc/passwd").status()));
}

TEST_F(RootfsFilesTest, ALinkDoesNotLeadToTheHost) {
  Write("outside", "the host's");
  ASSERT_EQ(::symlink(absl::StrCat(base_, "/outside").c_str(),
                      absl::StrCat(base_, "/top/etc/passwd").c_str()),
            0);
  ASSERT_EQ(::symlink("../../outside", absl::StrCat(base_, "/top/etc/group").c_str()), 0);
  EXPECT_FALSE(ReadRootfsFile(Overlay(), "etc/passwd").ok());
  EXPECT_FALSE(ReadRootfsFile(Overlay(), "etc/group").ok());
}

TEST_F(RootfsFilesTest, ANamedPipeDoesNotHold) {
  ASSERT_EQ(::mkfifo(absl::StrCat(base_, "/top/etc/passwd").c_str(), 0644), 0);
  EXPECT_FALSE(ReadRootfsFile(Overlay(), "etc/passwd").ok());
}

TEST_F(RootfsFilesTest, ABindIsOneLayer) {
  Write("top/etc/passwd", "top");
  containerd::types::Mount mount;
  mount.set_type("bind");
  mount.set_source(absl::StrCat(base_, "/top"));
  EXPECT_EQ(*ReadRootfsFile({mount}, "etc/passwd"), "top");
}

}  // namespace
}  // namespace berth::client
