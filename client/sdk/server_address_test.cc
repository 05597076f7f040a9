#include "client/sdk/server_address.h"

#include <gtest/gtest.h>

namespace berth::client {
namespace {

TEST(ServerAddressTest, SocketsAreNamedWithAndWithoutAScheme) {
  for (const char* text : {"/run/berth/berth.sock", "unix:///run/berth/berth.sock"}) {
    const auto address = ParseServerAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_FALSE(address->is_tcp());
    EXPECT_EQ(address->ToString(), "/run/berth/berth.sock");
  }
  EXPECT_EQ(ParseServerAddress("berth.sock")->path, "berth.sock");
}

TEST(ServerAddressTest, TcpHasAHostAndMayHaveAPort) {
  for (const char* text : {"tcp://a.example:2376", "tcp://[::1]:2376", "tcp://10.0.0.1"}) {
    const auto address = ParseServerAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_TRUE(address->is_tcp());
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(ParseServerAddress("tcp://[fe80::1]:7/")->host, "fe80::1");
  EXPECT_EQ(ParseServerAddress("tcp://h")->port, "");
}

TEST(ServerAddressTest, WhatIsNoAddressIsExplained) {
  const struct {
    const char* text;
    const char* word;
  } kCases[] = {{"", "empty"},
                {"127.0.0.1:2376", "is tcp://127.0.0.1:2376 meant?"},
                {"https://h:1", "\"https\" is no way"},
                {"tcp://", "no host"},
                {"tcp://:2376", "no host"},
                {"tcp://h:", "no port"},
                {"tcp://h:0", "no port"},
                {"tcp://h:65536", "no port"},
                {"tcp://h:+5", "no port"},
                {"tcp://h:1/x", "no port"},
                {"tcp://h/x", "no path"},
                {"tcp://::1:2376", "brackets"},
                {"tcp://[::1", "]"},
                {"tcp://[::1]2376", "port follows"}};
  for (const auto& bad : kCases) {
    const auto address = ParseServerAddress(bad.text);
    ASSERT_FALSE(address.ok()) << bad.text;
    EXPECT_NE(address.status().message().find(bad.word), absl::string_view::npos)
        << address.status();
  }
}

}  // namespace
}  // namespace berth::client
