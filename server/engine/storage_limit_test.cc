#include "server/engine/storage_limit.h"

#include "gtest/gtest.h"

namespace berth::engine {
namespace {

TEST(ParseStorageLimitTest, SizesHaveUnits) {
  EXPECT_EQ(*ParseStorageLimit({}), 0u);
  EXPECT_EQ(*ParseStorageLimit({{"size", "4096"}}), 4096u);
  EXPECT_EQ(*ParseStorageLimit({{"size", "2g"}}), uint64_t{2} << 30);
  EXPECT_EQ(*ParseStorageLimit({{"size", "1.5MB"}}), uint64_t{3} << 19);
}

TEST(ParseStorageLimitTest, WhatIsNoSizeIsRefused) {
  for (const char* text : {"", "g", "many", "-1g", "0", "1x", "1", "1e300"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseStorageLimit({{"size", text}}).status())) << text;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ParseStorageLimit({{"colour", "red"}}).status()));
}

TEST(DirectoriesOfLayerTest, AreUpperAndWorkDirectoryOfAnOverlay) {
  EXPECT_EQ(
      DirectoriesOfLayer("overlay", {"index=off", "workdir=/w", "upperdir=/u", "lowerdir=/l"}),
      (std::vector<std::string>{"/w", "/u"}));
  EXPECT_TRUE(DirectoriesOfLayer("bind", {"rbind"}).empty());
}

}  // namespace
}  // namespace berth::engine
