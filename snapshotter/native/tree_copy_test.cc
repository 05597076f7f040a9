#include "snapshotter/native/tree_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "snapshotter/suite/fixture.h"
#include "snapshotter/suite/tree_changes.h"
#include "snapshotter/suite/tree_compare.h"

namespace berth::snapshots {
namespace {

class TreeCopyTest : public testing::Test {
 protected:
  absl::Status Copy() {
    const auto from = OpenFile(source_, O_RDONLY | O_DIRECTORY);
    const auto to = OpenFile(target_, O_RDONLY | O_DIRECTORY);
    return CopyTree(*from, *to);
  }

  TestDirectory files_;
  const std::string source_ = files_.MakeEmpty();
  const std::string target_ = files_.MakeEmpty();
};

TEST_F(TreeCopyTest, TheCopyHasTheSameAttributesAndTimes) {
  All({MakeDir("/d", 02750), WriteFile("/d/suid", "x", 06755), Chown("/d/suid", 3, 4),
       Chmod("/d/suid", 06755), HardLink("/d/suid", "/link"), SymbolicLink("d/suid", "/symlink"),
       SetAttribute("/d/suid", "user.a", "b"), MakeNode("/fifo", S_IFIFO | 0640, 0),
       Chown("/", 9, 9), Chmod("/", 0701)})(source_);
  const struct timespec times[2] = {{100, 5}, {200, 123456789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (source_ + "/d").c_str(), times, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, (source_ + "/symlink").c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, source_.c_str(), times, 0), 0);
  const absl::Status copied = Copy();
  ASSERT_TRUE(copied.ok()) << copied;
  EXPECT_EQ(DescribeTree(target_, CompareTimes::kYes), DescribeTree(source_, CompareTimes::kYes));
}

TEST_F(TreeCopyTest, HolesStayHoles) {
  {
    const auto file = OpenFile(source_ + "/sparse", O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(::pwrite(file->get(), "middle", 6, 8 << 20), 6);
    ASSERT_EQ(::ftruncate(file->get(), 16 << 20), 0);
  }
  const absl::Status copied = Copy();
  ASSERT_TRUE(copied.ok()) << copied;
  struct stat info;
  ASSERT_EQ(::stat((target_ + "/sparse").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 16 << 20);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
  EXPECT_EQ(ReadFile(target_ + "/sparse"), ReadFile(source_ + "/sparse"));
}

}  // namespace
}  // namespace berth::snapshots
