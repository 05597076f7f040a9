#include "server/engine/volume_mount.h"

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"

namespace berth::engine {
namespace {

std::string ErrorOf(const std::map<std::string, std::string>& options) {
  return std::string(ParseVolumeOptions(options).status().message());
}

TEST(VolumeMountTest, FlagsAndWhatTheFilesystemReadsArePartedInOrder) {
  const auto mount = ParseVolumeOptions(
      {{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m,nosuid,ro,uid=7,rw,noexec"}});
  ASSERT_TRUE(mount.ok()) << mount.status();
  EXPECT_EQ(mount->data, "size=1m,uid=7");
  EXPECT_EQ(mount->flags, static_cast<unsigned long>(MS_NOSUID | MS_NOEXEC));
}

TEST(VolumeMountTest, WhatIsMissingOrUnknownIsNamed) {
  EXPECT_EQ(ErrorOf({{"type", "tmpfs"}}), "missing required option: \"device\"");
  EXPECT_EQ(ErrorOf({{"device", "x"}}), "missing required option: \"type\"");
  EXPECT_NE(ErrorOf({{"colour", "red"}}).find("invalid option: \"colour\""), std::string::npos);
  EXPECT_NE(ErrorOf({{"size", "1g"}}).find("no quota support"), std::string::npos);
  EXPECT_NE(ErrorOf({{"type", "none"}, {"device", "here"}, {"o", "bind"}}).find("absolute path"),
            std::string::npos);
}

class MountedVolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "mounts want root";
    std::string path = ::testing::TempDir() + "/volume.XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    base_ = path;
    place_ = base_ + "/place";
    ASSERT_EQ(::mkdir(place_.c_str(), 0755), 0);
  }
  void TearDown() override {
    if (base_.empty()) return;
    EXPECT_TRUE(UnmountVolume(place_).ok());
    EXPECT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), base_).ok());
  }

  std::string base_;
  std::string place_;
};

TEST_F(MountedVolumeTest, ItIsMountedOnceAndUnmountedWhole) {
  const VolumeMount mount =
      *ParseVolumeOptions({{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=64k,mode=0711"}});
  ASSERT_FALSE(IsMountPoint(place_));
  ASSERT_TRUE(MountVolume(mount, place_).ok());
  ASSERT_TRUE(MountVolume(mount, place_).ok());
  struct stat status = {};
  ASSERT_EQ(::stat(place_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0711u);
  EXPECT_TRUE(IsMountPoint(place_));
  EXPECT_TRUE(UnmountVolume(place_).ok());
  EXPECT_FALSE(IsMountPoint(place_));
  EXPECT_TRUE(UnmountVolume(place_).ok());
}

TEST_F(MountedVolumeTest, ABindCanBeReadOnly) {
  const VolumeMount mount =
      *ParseVolumeOptions({{"type", "none"}, {"device", base_}, {"o", "bind,ro"}});
  ASSERT_TRUE(MountVolume(mount, place_).ok());
  EXPECT_EQ(::access((place_ + "/place").c_str(), W_OK), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(MountedVolumeTest, AFailureNamesTheDevice) {
  const absl::Status failed =
      MountVolume(*ParseVolumeOptions({{"type", "ext4"}, {"device", "/dev/no-such"}}), place_);
  EXPECT_NE(failed.message().find("mount /dev/no-such"), std::string::npos) << failed;
  EXPECT_FALSE(IsMountPoint(place_));
}

}  // namespace
}  // namespace berth::engine
