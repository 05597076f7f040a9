#include "server/engine/host_checks.h"

#include "gtest/gtest.h"

namespace berth::engine {
namespace {

TEST(ParseNumberListTest, RangesAndNumbersAreOneSet) {
  EXPECT_EQ(*ParseNumberList("0-2,7"), (std::set<int>{0, 1, 2, 7}));
  EXPECT_EQ(*ParseNumberList("3"), (std::set<int>{3}));
}

TEST(ParseNumberListTest, WhatIsNoListIsRefused) {
  for (const char* text : {"", "a", "1-", "-1", "3-1", "1,,2", "0-99999999"}) {
    EXPECT_FALSE(ParseNumberList(text).ok()) << text;
  }
}

TEST(CheckAgainstHostTest, ASettingOfTheHostIsRefused) {
  v1::HostConfig host;
  (*host.mutable_sysctls())["net.ipv4.ip_forward"] = "1";
  EXPECT_TRUE(CheckAgainstHost({}, host).ok());
  host.set_network_mode("host");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAgainstHost({}, host)));
  host.clear_network_mode();
  (*host.mutable_sysctls())["vm.swappiness"] = "1";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAgainstHost({}, host)));
}

}  // namespace
}  // namespace berth::engine
