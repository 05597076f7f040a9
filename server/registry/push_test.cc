// Pushing: what is there is not sent, what is elsewhere is mounted, what breaks is gone on with.
#include "server/registry/push.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest/hasher.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "server/registry/resolve.h"
#include "server/registry/testing/fake_registry.h"

namespace berth::registry {
namespace {

using testing::FakeRegistry;
using testing::FakeRequest;
using testing::FakeResponse;
using worker::v1::PushRequest;
using worker::v1::PushResponse;

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

class PushTest : public ::testing::Test {
 protected:
  absl::StatusOr<PushResponse> Run(const std::string& bytes, const std::string& mount_from = "") {
    char name[] = "/tmp/berth-push-XXXXXX";
    const UniqueFd file(::mkstemp(name));
    ::unlink(name);
    EXPECT_TRUE(WriteAll(file, bytes).ok());
    PushRequest request;
    *request.mutable_origin() = registry_.OriginOf("a/b");
    digest_ = HashString(bytes).text();
    request.mutable_target()->set_digest(digest_);
    request.mutable_target()->set_size(static_cast<int64_t>(bytes.size()));
    if (!mount_from.empty()) request.add_mount_from(mount_from);
    return Push(request, file, {session_, cancelled_},
                [this](uint64_t sent, uint64_t) { sent_ = sent; });
  }
  absl::Status RunManifest(const std::string& bytes, const std::string& tag) {
    worker::v1::PushManifestRequest request;
    *request.mutable_origin() = registry_.OriginOf("a/b");
    request.mutable_target()->set_digest(HashString(bytes).text());
    request.mutable_target()->set_size(static_cast<int64_t>(bytes.size()));
    request.mutable_target()->set_media_type(kManifestType);
    request.set_tag(tag);
    return PushManifest(request, bytes, {session_, cancelled_}).status();
  }
  worker::v1::ReferrersResponse ReferrersOf(const std::string& digest, const std::string& type) {
    worker::v1::ReferrersRequest request;
    *request.mutable_origin() = registry_.OriginOf("a/b");
    request.set_digest(digest);
    request.set_artifact_type(type);
    const auto response = Referrers(request, {session_, cancelled_});
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : worker::v1::ReferrersResponse();
  }

  FakeRegistry registry_;
  Session session_;
  std::atomic<bool> cancelled_{false};
  std::string digest_;
  uint64_t sent_ = 0;
};

TEST_F(PushTest, ABlobIsSentOnce) {
  const auto first = Run("some bytes");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->how(), PushResponse::UPLOADED);
  EXPECT_EQ(registry_.blobs["a/b"][digest_], "some bytes");
  EXPECT_EQ(sent_, 10u);
  EXPECT_EQ(Run("some bytes")->how(), PushResponse::EXISTED);
  EXPECT_EQ(Run("")->how(), PushResponse::UPLOADED);
}

TEST_F(PushTest, ABlobOfAnotherRepositoryIsMounted) {
  registry_.AddBlob("base", "shared");
  EXPECT_EQ(Run("shared", "base")->how(), PushResponse::MOUNTED);
  EXPECT_EQ(registry_.CountRequests("PUT"), 0u);
  // Without mounts the upload that was begun instead is used.
  registry_.mounts = false;
  registry_.AddBlob("base", "other");
  EXPECT_EQ(Run("other", "base")->how(), PushResponse::UPLOADED);
  EXPECT_EQ(registry_.CountRequests("POST"), 2u);
}

TEST_F(PushTest, ALargeBlobGoesInChunksAndGoesOnAfterAFailure) {
  const std::string bytes(36u << 20, 'z');
  int failures = 2;
  registry_.meddle = [&](const FakeRequest& request, FakeResponse& response) {
    // Taken, but the answer is lost: the registry knows better than we do.
    if (request.method == "PATCH" && failures > 0) {
      --failures;
      response.status = 502;
    }
  };
  const auto response = Run(bytes);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(registry_.blobs["a/b"][digest_] == bytes);
  EXPECT_EQ(registry_.CountRequests("PATCH"), 2u);
  EXPECT_EQ(registry_.CountRequests("POST"), 1u);
}

TEST_F(PushTest, AForgottenUploadBeginsAnew) {
  const std::string bytes(20u << 20, 'y');
  bool forgot = false;
  registry_.meddle = [&](const FakeRequest& request, FakeResponse& response) {
    if (request.method == "PATCH" && !std::exchange(forgot, true)) {
      response.status = 503;
      registry_.uploads.clear();
    }
  };
  ASSERT_TRUE(Run(bytes).ok());
  EXPECT_TRUE(registry_.blobs["a/b"][digest_] == bytes);
  EXPECT_EQ(registry_.CountRequests("POST"), 2u);
}

TEST_F(PushTest, ARefusedBlobIsToldAtOnce) {
  registry_.meddle = [](const FakeRequest& request, FakeResponse& response) {
    if (request.method == "POST") response.status = 403;
  };
  EXPECT_EQ(Run("x").status().code(), absl::StatusCode::kPermissionDenied);
  registry_.auth = FakeRegistry::Auth::kBasic;
  EXPECT_EQ(Run("x").status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(PushTest, ManifestsGoByTagOrDigest) {
  const std::string bytes = "{\"layers\":[]}";
  ASSERT_TRUE(RunManifest(bytes, "v1").ok());
  EXPECT_EQ(registry_.manifests["a/b"]["v1"].bytes, bytes);
  EXPECT_EQ(registry_.manifests["a/b"]["v1"].media_type, kManifestType);
  ASSERT_TRUE(RunManifest("{\"layers\":[1]}", "").ok());
  EXPECT_EQ(registry_.CountRequests("PUT /v2/a/b/manifests/sha256:"), 1u);
}

TEST_F(PushTest, ReferrersAreListedByTheRegistryOrUnderATag) {
  const std::string subject = HashString("subject").text();
  const auto artifact = [&](const std::string& kind) {
    return absl::StrCat("{\"artifactType\":\"application/x.", kind,
                        "\",\"layers\":[],\"subject\":{\"digest\":\"", subject, "\"}}");
  };
  ASSERT_TRUE(RunManifest(artifact("sig"), "").ok());
  EXPECT_EQ(ReferrersOf(subject, "").referrers_size(), 1);

  registry_.lists_referrers = false;
  EXPECT_EQ(ReferrersOf(subject, "").referrers_size(), 0);
  for (const char* kind : {"sig", "bom", "sig"}) {
    ASSERT_TRUE(RunManifest(artifact(kind), "").ok());
  }
  EXPECT_EQ(ReferrersOf(subject, "").referrers_size(), 2);
  const auto boms = ReferrersOf(subject, "application/x.bom");
  ASSERT_EQ(boms.referrers_size(), 1);
  EXPECT_EQ(boms.referrers(0).digest(), HashString(artifact("bom")).text());
  EXPECT_TRUE(registry_.manifests["a/b"].contains(absl::StrReplaceAll(subject, {{":", "-"}})));
}

}  // namespace
}  // namespace berth::registry
