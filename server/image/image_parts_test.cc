// The parts of server/image that need no store: platforms, documents, names, archives' layouts.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/image/archive_layout.h"
#include "server/image/image_document.h"
#include "server/image/image_name.h"
#include "server/image/import_naming.h"
#include "server/image/layer_gate.h"
#include "server/image/platform.h"
#include "server/image/single_flight.h"
#include "server/image/tar_header.h"

namespace berth::image {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

TEST(PlatformTest, WordsAreNormalized) {
  EXPECT_EQ(FormatPlatform(*ParsePlatform("linux/x86_64")), "linux/amd64");
  EXPECT_EQ(FormatPlatform(*ParsePlatform("Linux/aarch64/v8")), "linux/arm64");
  EXPECT_EQ(FormatPlatform(*ParsePlatform("linux/arm")), "linux/arm/v7");
  EXPECT_EQ(FormatPlatform(*ParsePlatform("linux/arm/6")), "linux/arm/v6");
  EXPECT_EQ(ParsePlatform("riscv64")->architecture, "riscv64");
  EXPECT_EQ(ParsePlatform("windows")->os, "windows");
  for (const char* bad : {"", "/", "linux/", "a/b/c/d", "nonsense", "linux/am d64"}) {
    EXPECT_FALSE(ParsePlatform(bad).ok()) << bad;
  }
}

TEST(PlatformTest, OlderVariantsRunTheNearestIsTheBest) {
  const Platform v7 = *ParsePlatform("linux/arm/v7");
  EXPECT_GT(MatchScore({"linux", "arm", "v7", ""}, v7), MatchScore({"linux", "arm", "v6", ""}, v7));
  EXPECT_GT(MatchScore({"linux", "arm", "v6", ""}, v7), MatchScore({"linux", "arm", "v5", ""}, v7));
  EXPECT_EQ(MatchScore({"linux", "arm", "v8", ""}, v7), 0);
  const Platform amd64 = *ParsePlatform("linux/amd64");
  EXPECT_GT(MatchScore({"linux", "386", "", ""}, amd64), 0);
  EXPECT_EQ(MatchScore({"linux", "amd64", "v3", ""}, amd64), 0);
  EXPECT_EQ(MatchScore({"linux", "arm64", "", ""}, amd64), 0);
  EXPECT_EQ(MatchScore({"windows", "amd64", "", ""}, amd64), 0);
  EXPECT_EQ(MatchScore({}, amd64), 1);
}

TEST(DocumentTest, IndexChoosesAndPassesOverAttestations) {
  const std::string json = absl::StrCat(
      R"({"manifests":[{"mediaType":"m","digest":")", kDigest,
      R"(","size":1,"platform":{"os":"unknown","architecture":"unknown"}},)",
      R"({"mediaType":"m","digest":")", kDigest,
      R"(","size":2,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]})");
  const auto index = ParseImageIndex(json);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_TRUE(index->manifests[0].is_attachment());
  const IndexEntry* best = BestEntry(*index, *ParsePlatform("linux/arm64"));
  ASSERT_NE(best, nullptr);
  EXPECT_EQ(best->descriptor.size(), 2);
  EXPECT_EQ(BestEntry(*index, *ParsePlatform("linux/amd64")), nullptr);
  EXPECT_EQ(OfferedPlatforms(*index), "linux/arm64");
}

TEST(DocumentTest, MalformedOnesAreRefusedByField) {
  EXPECT_FALSE(ParseImageIndex("{}").ok());
  EXPECT_FALSE(ParseImageIndex("[]").ok());
  EXPECT_FALSE(ParseImageManifest(R"({"config":{"digest":"sha256:12","size":1}})").ok());
  EXPECT_FALSE(
      ParseImageManifest(absl::StrCat(R"({"config":{"digest":")", kDigest, R"(","size":-1}})"))
          .ok());
  // A document that is an index and a manifest at once is neither.
  EXPECT_FALSE(ParseImageManifest(absl::StrCat(R"({"manifests":[],"config":{"digest":")", kDigest,
                                               R"(","size":1}})"))
                   .ok());
  EXPECT_FALSE(ParseImageConfig(R"({"rootfs":{"diff_ids":["nonsense"]}})").ok());
}

TEST(DocumentTest, ConfigHoldsWhatContainersInherit) {
  const auto config = ParseImageConfig(
      R"({"os":"linux","architecture":"amd64","created":"2024-01-01T00:00:00Z",)"
      R"("config":{"Env":["A=b"],"Cmd":["sh"],"User":"1:2","Volumes":{"/b":{},"/a":{}},)"
      R"("ExposedPorts":{"80/tcp":{}},"Labels":{"k":"v"},"StopSignal":"SIGINT","StopTimeout":3,)"
      R"("Healthcheck":{"Test":["CMD","x"],"Interval":1000,"Retries":4}},)"
      R"("history":[{"created_by":"one"},{"created_by":"two","empty_layer":true}]})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->environment, std::vector<std::string>{"A=b"});
  EXPECT_EQ(config->volumes, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(config->exposed_ports, std::vector<std::string>{"80/tcp"});
  EXPECT_EQ(config->stop_timeout_s, 3);
  ASSERT_TRUE(config->health_check.has_value());
  EXPECT_EQ(config->health_check->retries, 4);
  ASSERT_EQ(config->history.size(), 2u);
  EXPECT_TRUE(config->history[1].empty_layer);
}

// "chainID(L0|L1) = sha256(chainID(L0) + ' ' + diffID(L1))", OCI image specification; the value was
// computed with sha256sum.
TEST(DocumentTest, ChainIdsFollowTheSpecification) {
  const std::vector<std::string> layers = {"sha256:" + std::string(64, '1'),
                                           "sha256:" + std::string(64, '2')};
  EXPECT_EQ(ChainId({}), "");
  EXPECT_EQ(ChainId(absl::MakeSpan(layers).subspan(0, 1)), layers[0]);
  EXPECT_EQ(ChainId(layers),
            "sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5");
}

TEST(NameTest, CandidatesCompletionAndDangling) {
  EXPECT_EQ(CandidateNames("busybox"),
            (std::vector<std::string>{"docker.io/library/busybox:latest", "busybox"}));
  EXPECT_EQ(CandidateNames("NOT/a name"), std::vector<std::string>{"NOT/a name"});
  EXPECT_TRUE(SameRepository("busybox:1", "docker.io/library/busybox:2"));
  EXPECT_FALSE(SameRepository("busybox:1", "other/busybox:1"));
  EXPECT_TRUE(IsDangling("<none>@" + kDigest));
  EXPECT_TRUE(IsDangling("moby-dangling@" + kDigest));
  EXPECT_FALSE(IsDangling("docker.io/library/busybox@" + kDigest));
  EXPECT_FALSE(IsDangling("docker.io/library/busybox:1@" + kDigest));
}

TEST(NamingTest, ArchivesNamesPrefixesAndDigests) {
  EXPECT_EQ(NamesFor({}, {"busybox:1"}, kDigest),
            std::vector<std::string>{"docker.io/library/busybox:1"});
  EXPECT_EQ(NamesFor({}, {}, kDigest), std::vector<std::string>{"<none>@" + kDigest});
  ImportNaming naming;
  naming.prefixes = {{.name = "docker.io/a/b"}};
  // Only a tag joins the prefix; a foreign name is not wanted; its own is.
  EXPECT_EQ(NamesFor(naming, {"v1", "docker.io/c/d:2", "docker.io/a/b:3"}, kDigest),
            (std::vector<std::string>{"docker.io/a/b:v1", "docker.io/a/b:3"}));
  naming.prefixes[0].keeps_foreign_names = true;
  naming.prefixes[0].adds_digest = true;
  EXPECT_EQ(NamesFor(naming, {"docker.io/c/d:2"}, kDigest),
            (std::vector<std::string>{"docker.io/c/d:2", "docker.io/a/b@" + kDigest}));
  naming.prefixes[0].skips_named_digest = true;
  EXPECT_EQ(NamesFor(naming, {"docker.io/c/d:2"}, kDigest),
            std::vector<std::string>{"docker.io/c/d:2"});
  EXPECT_EQ(NamesFor(naming, {}, kDigest), std::vector<std::string>{"docker.io/a/b@" + kDigest});
}

worker::v1::ReadArchiveResponse Members(
    const std::vector<std::pair<std::string, std::string>>& files) {
  worker::v1::ReadArchiveResponse response;
  int64_t offset = 512;
  for (const auto& [path, link] : files) {
    worker::v1::ArchiveMember& member = *response.add_members();
    member.set_path(path);
    member.set_link_target(link);
    member.set_offset(offset);
    member.set_size(10);
    offset += 1024;
  }
  return response;
}

TEST(ArchiveLayoutTest, LinksAreFollowedInsideTheArchiveOnly) {
  const ArchiveFiles files(Members({{"a/layer.tar", ""},
                                    {"b/layer.tar", "../a/layer.tar"},
                                    {"hard", "a/layer.tar"},
                                    {"loop", "loop"},
                                    {"out", "../../../etc/passwd"}}));
  EXPECT_EQ(files.Find("b/layer.tar")->offset, 512);
  EXPECT_EQ(files.Find("hard")->offset, 512);
  EXPECT_FALSE(files.Find("loop").ok());
  EXPECT_FALSE(files.Find("out").ok());
  EXPECT_TRUE(absl::IsNotFound(files.FindBlob(kDigest).status()));
}

TEST(ArchiveLayoutTest, NamesAreFullOnesWithTheNewestTag) {
  const auto names = [](const std::string& annotations) {
    const auto images = ParseOciLayout(absl::StrCat(
        R"({"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":")",
        "sha256:", std::string(64, 'a'), R"(","annotations":{)", annotations, "}}]}"));
    EXPECT_TRUE(images.ok()) << images.status();
    return images.ok() ? images->at(0).names : std::vector<std::string>();
  };
  using Names = std::vector<std::string>;
  const std::string full = R"("io.containerd.image.name":"r.example:5000/a/b:v1")";
  EXPECT_EQ(names(""), Names());
  EXPECT_EQ(names(full), Names{"r.example:5000/a/b:v1"});
  EXPECT_EQ(names(R"("org.opencontainers.image.ref.name":"v2")"), Names{"v2"});
  EXPECT_EQ(names(full + R"(,"org.opencontainers.image.ref.name":"v2")"),
            Names{"r.example:5000/a/b:v2"});
  EXPECT_EQ(names(full + R"(,"org.opencontainers.image.ref.name":"x/y:v2")"),
            Names{"r.example:5000/a/b:v1"});
  EXPECT_EQ(names(R"("io.containerd.image.name":"r.example:5000/a",)"
                  R"("org.opencontainers.image.ref.name":"v2")"),
            Names{"r.example:5000/a"});
}

TEST(ArchiveLayoutTest, DockersManifest) {
  const auto images = ParseDockerArchive(
      R"([{"Config":"c.json","RepoTags":["x:1"],"Layers":["a/layer.tar"]},{"Config":"d.json"}])");
  ASSERT_TRUE(images.ok()) << images.status();
  ASSERT_EQ(images->size(), 2u);
  EXPECT_EQ((*images)[0].names, std::vector<std::string>{"x:1"});
  EXPECT_FALSE(ParseDockerArchive("{}").ok());
  EXPECT_FALSE(ParseDockerArchive(R"([{"Layers":[]}])").ok());
  EXPECT_EQ(DockerLayerType("\x1f\x8b"), absl::StrCat(kDockerLayer, ".gzip"));
  EXPECT_EQ(DockerLayerType("usta"), kDockerLayer);
}

TEST(TarHeaderTest, ChecksumAndLargeSizes) {
  const std::string block = TarHeader("index.json", 1234, TarEntry::kFile);
  ASSERT_EQ(block.size(), 512u);
  unsigned sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  }
  EXPECT_EQ(std::stoul(block.substr(148, 6), nullptr, 8), sum);
  EXPECT_EQ(block.substr(124, 11), "00000002322");
  EXPECT_EQ(TarPadding(0), 0);
  EXPECT_EQ(TarPadding(1), 511);
  EXPECT_EQ(TarPadding(512), 0);
  const std::string large = TarHeader("blobs/x", int64_t{9} << 30, TarEntry::kFile);
  EXPECT_EQ(static_cast<unsigned char>(large[124]), 0x80);
  EXPECT_EQ(static_cast<unsigned char>(large[131]), 2);  // 9 GiB = 0x2_4000_0000
}

TEST(SingleFlightTest, OthersAreToldAndMayTry) {
  SingleFlight flights;
  int woken = 0;
  EXPECT_TRUE(flights.Claim("k", [] {}));
  EXPECT_FALSE(flights.Claim("k", [&] { ++woken; }));
  EXPECT_TRUE(flights.Claim("other", [] {}));
  EXPECT_EQ(woken, 0);
  flights.Release("k");
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(flights.Claim("k", [] {}));
}

TEST(LayerGateTest, ReadersAndWaitersHearOnceAndInOrder) {
  Descriptor layer;
  layer.set_digest(kDigest);
  LayerGate gate({layer, layer}, "", nullptr);
  std::vector<std::string> heard;
  gate.WhenReadable(0, [&](absl::StatusOr<LayerGate::Access> access) {
    heard.push_back(access.ok() ? absl::StrCat("read ", access->upload) : "failed");
  });
  gate.WhenComplete(0,
                    [&](absl::Status status) { heard.push_back(std::string(status.message())); });
  EXPECT_TRUE(heard.empty());
  gate.SetReadable(kDigest, {.upload = "u", .slot = 3, .keep = nullptr});
  EXPECT_EQ(heard, std::vector<std::string>{"read u"});
  gate.SetComplete(kDigest, absl::OkStatus());
  EXPECT_EQ(heard, (std::vector<std::string>{"read u", ""}));
  // Once it is whole it is read from the store, and a late failure changes nothing.
  gate.Fail(absl::CancelledError("late"));
  gate.WhenReadable(1, [&](absl::StatusOr<LayerGate::Access> access) {
    heard.push_back(access.ok() ? absl::StrCat("read ", access->upload) : "failed");
  });
  EXPECT_EQ(heard.back(), "read ");
}

TEST(LayerGateTest, FailureReachesWhoWaits) {
  Descriptor layer;
  layer.set_digest(kDigest);
  LayerGate gate({layer}, "", nullptr);
  absl::Status heard;
  gate.WhenReadable(0, [&](absl::StatusOr<LayerGate::Access> access) { heard = access.status(); });
  gate.Fail(absl::UnavailableError("gone"));
  EXPECT_EQ(heard.message(), "gone");
}

}  // namespace
}  // namespace berth::image
