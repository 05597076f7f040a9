#include "shim/io/target.h"

#include "gtest/gtest.h"

namespace berth::io {
namespace {

TEST(TargetTest, EmptyIsNull) { EXPECT_EQ(ParseTarget("")->kind, TargetKind::kNull); }

TEST(TargetTest, PlainPathIsTakenLiterally) {
  const auto target = ParseTarget("/run/a%20b?c");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->kind, TargetKind::kPath);
  EXPECT_EQ(target->path, "/run/a%20b?c");
}

TEST(TargetTest, FilePathIsUnescaped) {
  const auto target = ParseTarget("file:///var/log/a%20b+c");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->kind, TargetKind::kFile);
  EXPECT_EQ(target->path, "/var/log/a b+c");
}

TEST(TargetTest, BinaryGetsEachKeyAndItsFirstValue) {
  const auto target = ParseTarget("binary:///usr/bin/log?_NAME=a+b&x=1&x=2&flag");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->kind, TargetKind::kBinary);
  EXPECT_EQ(target->path, "/usr/bin/log");
  EXPECT_EQ(target->arguments, (std::vector<std::string>{"_NAME", "a b", "x", "1", "flag", ""}));
  EXPECT_EQ(ParseTarget("binary-v2:///usr/bin/log")->kind, TargetKind::kBinaryV2);
}

TEST(TargetTest, LogHasOptions) {
  const auto plain = ParseTarget("berth-log:///var/log/c.log");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->kind, TargetKind::kLog);
  EXPECT_EQ(plain->path, "/var/log/c.log");
  EXPECT_EQ(plain->log, LogOptions());
  const auto all = ParseTarget(
      "berth-log:///l?driver=cri&max-size=0&max-file=7&mode=non-blocking&max-buffer-size=8192");
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->log, (LogOptions{.format = LogFormat::kCri,
                                  .max_size_bytes = 0,
                                  .max_files = 7,
                                  .mode = LogMode::kNonBlocking,
                                  .max_buffer_bytes = 8192}));
}

TEST(TargetTest, AttachMayEndWithItsFirstClient) {
  EXPECT_EQ(ParseTarget("berth-attach://")->kind, TargetKind::kAttach);
  EXPECT_EQ(ParseTarget("berth-attach://")->input_end, Target::InputEnd::kStays);
  EXPECT_EQ(ParseTarget("berth-attach://?once=true")->input_end, Target::InputEnd::kFirstClient);
}

TEST(TargetTest, WhatIsNoTargetIsRefused) {
  for (const char* text :
       {"http://x/y", "relative", "file://relative", "file:///a%2", "binary://", "file:///a%00b",
        "berth-log://l", "berth-log:///l?driver=syslog", "berth-log:///l?max-size=10m",
        "berth-log:///l?max-size=-1", "berth-log:///l?max-file=0", "berth-log:///l?mode=fast",
        "berth-log:///l?maxsize=1", "berth-attach:///path", "berth-attach://?once=maybe",
        "berth-attach://?twice=true"}) {
    EXPECT_EQ(ParseTarget(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace berth::io
