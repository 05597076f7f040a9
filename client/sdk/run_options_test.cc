#include <gtest/gtest.h>

#include "base/oci/user_lookup.h"
#include "client/sdk/environment.h"
#include "client/sdk/quantities.h"

namespace berth::client {
namespace {

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:34:web:/var/www:/bin/false\n";
constexpr char kGroup[] = "root:x:0:\nweb:x:34:\nlogs:x:50:web,other\nweb2:x:34:web\n";

TEST(UserLookupTest, NamesBringTheirGroupsAndHome) {
  auto user = oci::LookUpUser("web", kPasswd, kGroup);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 33u);
  EXPECT_EQ(user->gid, 34u);
  EXPECT_EQ(user->additional_gids, std::vector<uint32_t>{50});
  EXPECT_EQ(user->home, "/var/www");
}

TEST(UserLookupTest, AnExplicitGroupReplacesTheMemberships) {
  auto user = oci::LookUpUser("web:logs", kPasswd, kGroup);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->gid, 50u);
  EXPECT_TRUE(user->additional_gids.empty());
}

TEST(UserLookupTest, NumbersNeedNoFiles) {
  auto user = oci::LookUpUser("1234:99", "", "");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 1234u);
  EXPECT_EQ(user->gid, 99u);
  EXPECT_EQ(oci::LookUpUser("", "", "")->uid, 0u);
}

TEST(UserLookupTest, UnknownNamesAreRefused) {
  EXPECT_TRUE(absl::IsNotFound(oci::LookUpUser("nobody", kPasswd, kGroup).status()));
  EXPECT_TRUE(absl::IsNotFound(oci::LookUpUser("0:nogroup", kPasswd, kGroup).status()));
}

TEST(EnvironmentTest, LaterValuesReplaceEarlierOnesInPlace) {
  auto merged = MergeEnvironment({"PATH=/bin", "A=1"}, {"A=2", "B=x=y"}, {});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(*merged, (std::vector<std::string>{"PATH=/bin", "A=2", "B=x=y"}));
}

TEST(EnvironmentTest, ANameAloneIsTakenFromTheUserOrLeftOut) {
  auto merged = MergeEnvironment({"GONE=1"}, {"HOME", "GONE"}, {{"HOME", "/home/me"}});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(*merged, std::vector<std::string>{"HOME=/home/me"});
  EXPECT_FALSE(MergeEnvironment({}, {"=x"}, {}).ok());
  EXPECT_FALSE(MergeEnvironment({}, {""}, {}).ok());
}

TEST(EnvironmentTest, AnEnvironmentFileHasCommentsAndNames) {
  EXPECT_EQ(ParseEnvironmentFile("# comment\nA=1\n\n  B=two words\r\nC\n"),
            (std::vector<std::string>{"A=1", "B=two words", "C"}));
}

TEST(QuantitiesTest, BytesTakeDockersSuffixes) {
  EXPECT_EQ(*ParseBytes("512"), 512);
  EXPECT_EQ(*ParseBytes("64m"), 64 << 20);
  EXPECT_EQ(*ParseBytes("1.5G"), int64_t{3} << 29);
  EXPECT_EQ(*ParseBytes("2kb"), 2048);
  for (const char* text : {"", "m", "-1", "1x", "1e30g", "nan"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

TEST(QuantitiesTest, SignalsHaveNamesAndNumbers) {
  EXPECT_EQ(*ParseSignal("TERM"), 15);
  EXPECT_EQ(*ParseSignal("sigkill"), 9);
  EXPECT_EQ(*ParseSignal("1"), 1);
  EXPECT_FALSE(ParseSignal("WAT").ok());
  EXPECT_FALSE(ParseSignal("0").ok());
  EXPECT_FALSE(ParseSignal("65").ok());
}

TEST(QuantitiesTest, SizesAndAgesAreShort) {
  EXPECT_EQ(FormatBytes(0), "0B");
  EXPECT_EQ(FormatBytes(1023), "1023B");
  EXPECT_EQ(FormatBytes(1536), "1.5KiB");
  EXPECT_EQ(FormatBytes(int64_t{5} << 30), "5.0GiB");
  EXPECT_EQ(FormatAge(absl::Seconds(1)), "1 second");
  EXPECT_EQ(FormatAge(absl::Minutes(5)), "5 minutes");
  EXPECT_EQ(FormatAge(absl::Hours(50)), "2 days");
}

}  // namespace
}  // namespace berth::client
