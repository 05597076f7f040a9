#include "client/sdk/local_archive.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"

namespace berth::client {
namespace {

namespace fs = std::filesystem;

class LocalArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) / "berth-local-archive";
    fs::remove_all(root_);
    fs::create_directories(root_ / "src/deep");
    fs::create_directories(root_ / "out");
    Write(root_ / "src/file", "content\n");
    Write(root_ / "src/deep/big", std::string(300'000, 'b'));
    fs::create_symlink("file", root_ / "src/link");
  }
  void TearDown() override { fs::remove_all(root_); }

  static void Write(const fs::path& path, const std::string& text) {
    auto file = OpenFile(path.string(), O_WRONLY | O_CREAT | O_TRUNC, 0640);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(WriteAll(*file, text).ok());
  }

  // Through a pipe, as cp does.
  absl::StatusOr<int64_t> Copy(const fs::path& from, const std::string& name,
                               const Renaming& renaming, LinkMode links = LinkMode::kKeep) {
    auto pipe = MakePipe();
    EXPECT_TRUE(pipe.ok());
    std::thread writer([&] {
      EXPECT_TRUE(WriteArchive(from.string(), name, links, pipe->write).ok());
      pipe->write.Reset();
    });
    auto result = ExtractArchive(pipe->read, (root_ / "out").string(), renaming, OwnerMode::kMine);
    writer.join();
    return result;
  }

  fs::path root_;
};

TEST_F(LocalArchiveTest, ATreeComesOutUnderItsNewName) {
  auto bytes = Copy(root_ / "src", "src", {"src", "copy"});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, 300'008);
  EXPECT_EQ(*ReadFile((root_ / "out/copy/file").string()), "content\n");
  EXPECT_EQ(fs::file_size(root_ / "out/copy/deep/big"), 300'000u);
  EXPECT_EQ(fs::read_symlink(root_ / "out/copy/link"), "file");
  EXPECT_EQ(fs::status(root_ / "out/copy/file").permissions(),
            fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
}

TEST_F(LocalArchiveTest, ADotMeansTheContents) {
  ASSERT_TRUE(Copy(root_ / "src", ".", {}).ok());
  EXPECT_TRUE(fs::exists(root_ / "out/deep/big"));
}

TEST_F(LocalArchiveTest, ALinkIsFollowedWhenAsked) {
  ASSERT_TRUE(Copy(root_ / "src/link", "link", {}).ok());
  EXPECT_TRUE(fs::is_symlink(root_ / "out/link"));
  ASSERT_TRUE(Copy(root_ / "src/link", "real", {}, LinkMode::kFollow).ok());
  EXPECT_FALSE(fs::is_symlink(root_ / "out/real"));
  EXPECT_EQ(*ReadFile((root_ / "out/real").string()), "content\n");
}

TEST_F(LocalArchiveTest, NothingIsWrittenOutsideOfTheTarget) {
  EXPECT_FALSE(Copy(root_ / "src/file", "../escaped", {}).ok());
  EXPECT_FALSE(fs::exists(root_ / "escaped"));
  EXPECT_FALSE(Copy(root_ / "src/file", (root_ / "absolute").string(), {}).ok());
  EXPECT_FALSE(fs::exists(root_ / "absolute"));
  // A link that points out is replaced by a directory.
  fs::create_directory_symlink("..", root_ / "out/up");
  ASSERT_TRUE(Copy(root_ / "src/file", "up/escaped", {}).ok());
  EXPECT_FALSE(fs::exists(root_ / "escaped"));
  EXPECT_FALSE(fs::is_symlink(root_ / "out/up"));
}

}  // namespace
}  // namespace berth::client
