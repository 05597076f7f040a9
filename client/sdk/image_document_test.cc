#include "client/sdk/image_document.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"

namespace berth::client {
namespace {

const std::string kA = HashString("a").text();
const std::string kB = HashString("b").text();

TEST(ImageDocumentTest, TheChainIdOfOneLayerIsItsDiffId) { EXPECT_EQ(ChainId({kA, kB}, 1), kA); }

TEST(ImageDocumentTest, TheChainIdHashesTheChainBelowAndTheDiffId) {
  EXPECT_EQ(ChainId({kA, kB}, 2), HashString(absl::StrCat(kA, " ", kB)).text());
}

TEST(ImageDocumentTest, AManifestKeepsItsOrderAndNamesWhatItHolds) {
  absl::StatusOr<ImageManifest> manifest = ParseImageManifest(
      absl::StrCat(R"({"config":{"digest":")", kA, R"(","size":7},"layers":[{"digest":")", kB,
                   R"(","size":1},{"digest":")", kA, R"(","size":2}]})"));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->config.digest(), kA);
  EXPECT_EQ(manifest->config.size(), 7);
  ASSERT_EQ(manifest->layers.size(), 2u);
  EXPECT_EQ(manifest->layers[0].digest(), kB);
  EXPECT_EQ(manifest->layers[1].size(), 2);
}

TEST(ImageDocumentTest, MalformedManifestsNameTheField) {
  absl::StatusOr<ImageManifest> manifest =
      ParseImageManifest(R"({"config":{"digest":"sha256:12","size":1}})");
  ASSERT_FALSE(manifest.ok());
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "config.digest")) << manifest.status();
  EXPECT_FALSE(ParseImageManifest("{}").ok());
  EXPECT_FALSE(ParseImageManifest("not json").ok());
  EXPECT_FALSE(
      ParseImageManifest(absl::StrCat(R"({"config":{"digest":")", kA, R"(","size":-1}})")).ok());
}

TEST(ImageDocumentTest, AConfigWithNullsReadsAsEmpty) {
  absl::StatusOr<ImageConfig> config = ParseImageConfig(
      R"({"os":"linux","architecture":"amd64","config":{"Env":null,"Cmd":["sh",3],"Labels":null}})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->environment.empty());
  EXPECT_EQ(config->command, std::vector<std::string>{"sh"});
  EXPECT_EQ(FormatPlatform(config->platform), "linux/amd64");
}

TEST(ImageDocumentTest, AConfigWithAMalformedDiffIdIsRefused) {
  EXPECT_FALSE(ParseImageConfig(R"({"rootfs":{"diff_ids":["../../etc"]}})").ok());
}

TEST(PlatformTest, TheExactArchitectureIsPreferred) {
  const Platform host = {"linux", "amd64", ""};
  EXPECT_GT(MatchPlatform({"linux", "amd64", ""}, host), MatchPlatform({"linux", "386", ""}, host));
  EXPECT_GT(MatchPlatform({"linux", "386", ""}, host), MatchPlatform({"", "", ""}, host));
  EXPECT_EQ(MatchPlatform({"windows", "amd64", ""}, host), 0);
  EXPECT_EQ(MatchPlatform({"unknown", "unknown", ""}, host), 0);
}

}  // namespace
}  // namespace berth::client
