#include "client/commands/log_follower.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"

namespace berth::client {
namespace {

std::string MakeLog(absl::string_view name, absl::string_view text) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/berth-log-", name);
  ::unlink(path.c_str());
  auto file = OpenFile(path, O_WRONLY | O_CREAT, 0600);
  EXPECT_TRUE(file.ok() && WriteAll(*file, text).ok());
  return path;
}

std::string Tail(const std::string& text, int lines) {
  auto file = OpenFile(MakeLog("tail", text), O_RDONLY);
  auto offset = FindTail(*file, lines);
  EXPECT_TRUE(offset.ok()) << offset.status();
  return text.substr(static_cast<size_t>(*offset));
}

TEST(LogFollowerTest, TheTailCountsLinesFromTheEnd) {
  EXPECT_EQ(Tail("a\nb\nc\n", 2), "b\nc\n");
  EXPECT_EQ(Tail("a\nb\nc", 2), "b\nc");
  EXPECT_EQ(Tail("a\nb\n", 5), "a\nb\n");
  EXPECT_EQ(Tail("a\nb\n", 0), "");
  EXPECT_EQ(Tail("", 3), "");
  EXPECT_EQ(Tail("a\n\n\n", 2), "\n\n");
  EXPECT_EQ(Tail("a\nb\n", kAllLines), "a\nb\n");
}

TEST(LogFollowerTest, TheTailMayBeginInAnEarlierBlock) {
  const std::string line(100'000, 'x');
  EXPECT_EQ(Tail(absl::StrCat("first\n", line, "\n", line, "\n"), 2),
            absl::StrCat(line, "\n", line, "\n"));
}

TEST(LogFollowerTest, WhatIsAddedUntilTheEndIsCopied) {
  const std::string path = MakeLog("follow", "old\n");
  auto output = MakePipe();
  auto ended = MakePipe();
  ASSERT_TRUE(output.ok() && ended.ok());
  std::thread writer([&] {
    auto file = OpenFile(path, O_WRONLY | O_APPEND);
    EXPECT_TRUE(WriteAll(*file, "new\n").ok());
    EXPECT_TRUE(WriteAll(ended->write, "x").ok());
  });
  EXPECT_TRUE(CopyLog(path, 0, output->write, ended->read).ok());
  writer.join();
  output->write.Reset();
  EXPECT_EQ(*ReadAll(output->read, 100), "old\nnew\n");
}

}  // namespace
}  // namespace berth::client
