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

TEST(TargetTest, WhatIsNoTargetIsRefused) {
  for (const char* text :
       {"http://x/y", "relative", "file://relative", "file:///a%2", "binary://", "file:///a%00b"}) {
    EXPECT_EQ(ParseTarget(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace berth::io
