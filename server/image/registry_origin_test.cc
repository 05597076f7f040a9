#include "server/image/registry_origin.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace berth::image {
namespace {

class RegistryOriginTest : public testing::Test {
 protected:
  RegistryOriginTest() {
    access_.credentials.username = "me";
    access_.credentials.password = "secret";
    access_.headers = {{"x-for", "the registry"}};
    access_.hosts_directory = directory_;
  }
  ~RegistryOriginTest() override { std::filesystem::remove_all(directory_); }

  void Settings(const std::string& registry, const std::string& text) {
    std::filesystem::create_directories(absl::StrCat(directory_, "/", registry));
    std::ofstream(absl::StrCat(directory_, "/", registry, "/hosts.toml")) << text;
  }
  absl::StatusOr<worker::v1::Origin> Origin(RegistryUse use = RegistryUse::kPull) {
    return OriginOf(*Reference::Parse("registry.example/a/b:1"), access_, use);
  }

  const std::string directory_ = testing::TempDir() + "registry_origin";
  RegistryAccess access_;
};

TEST_F(RegistryOriginTest, WithoutSettingsTheRegistryServesItself) {
  const auto origin = Origin();
  ASSERT_TRUE(origin.ok()) << origin.status();
  EXPECT_EQ(origin->repository(), "a/b");
  ASSERT_EQ(origin->hosts_size(), 1);
  EXPECT_EQ(origin->hosts(0).host(), "registry.example");
  EXPECT_EQ(origin->hosts(0).credentials().secret(), "secret");
  EXPECT_FALSE(origin->hosts(0).can_push());
  EXPECT_TRUE(Origin(RegistryUse::kPush)->hosts(0).can_push());
}

TEST_F(RegistryOriginTest, MirrorsAreNotToldWhatBelongsToTheRegistry) {
  Settings("registry.example",
           "server = \"https://elsewhere.example\"\n[host.\"http://mirror.example:5000\"]\n");
  access_.scheme = "https";
  const auto origin = Origin();
  ASSERT_TRUE(origin.ok()) << origin.status();
  ASSERT_EQ(origin->hosts_size(), 2);
  const worker::v1::Host& mirror = origin->hosts(0);
  EXPECT_EQ(mirror.host(), "mirror.example:5000");
  EXPECT_EQ(mirror.scheme(), "http");
  EXPECT_EQ(mirror.headers_size(), 0);
  EXPECT_EQ(mirror.credentials().username(), "");
  EXPECT_EQ(mirror.credentials().secret(), "");
  // Its server is the registry, also at another address.
  const worker::v1::Host& server = origin->hosts(1);
  EXPECT_EQ(server.host(), "elsewhere.example");
  EXPECT_EQ(server.credentials().username(), "me");
  EXPECT_EQ(server.headers_size(), 1);
}

TEST_F(RegistryOriginTest, MalformedSettingsAreNamed) {
  Settings("registry.example", "server = 7\n");
  const auto origin = Origin();
  EXPECT_TRUE(absl::IsInvalidArgument(origin.status())) << origin.status();
  EXPECT_NE(origin.status().message().find("registry.example/hosts.toml"), std::string::npos);
}

}  // namespace
}  // namespace berth::image
