// Questions to a registry: authentication, redirects, mirrors, retries, and answers that lie.
#include "server/registry/resolve.h"

#include <atomic>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "gtest/gtest.h"
#include "server/registry/testing/fake_registry.h"

namespace berth::registry {
namespace {

using testing::FakeRegistry;
using testing::FakeRequest;
using testing::FakeResponse;
using testing::FakeServer;
using worker::v1::Origin;
using worker::v1::ResolveResponse;

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kManifest[] = "{\"schemaVersion\":2,\"layers\":[]}";

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() : digest_(registry_.AddManifest("a/b", "v1", kManifest, kManifestType)) {}

  absl::StatusOr<ResolveResponse> Ask(const Origin& origin, const std::string& object) {
    worker::v1::ResolveRequest request;
    *request.mutable_origin() = origin;
    request.set_object(object);
    request.set_head_only(head_only_);
    return Resolve(request, {session_, cancelled_});
  }
  absl::StatusOr<ResolveResponse> Ask(const std::string& object) {
    return Ask(registry_.OriginOf("a/b"), object);
  }
  Origin WithCredentials() {
    Origin origin = registry_.OriginOf("a/b");
    origin.mutable_hosts(0)->mutable_credentials()->set_username("ana");
    origin.mutable_hosts(0)->mutable_credentials()->set_secret("secret");
    return origin;
  }

  FakeRegistry registry_;
  const std::string digest_;
  Session session_;
  std::atomic<bool> cancelled_{false};
  bool head_only_ = false;
};

TEST_F(ResolveTest, TagsAndDigestsGiveTheManifest) {
  for (const std::string& object : {std::string("v1"), digest_}) {
    const auto response = Ask(object);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->target().digest(), digest_);
    EXPECT_EQ(response->target().media_type(), kManifestType);
    EXPECT_EQ(response->content(), kManifest);
    EXPECT_EQ(response->host(), registry_.address());
  }
  head_only_ = true;
  const auto head = Ask("v1");
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->target().digest(), digest_);
  EXPECT_EQ(head->target().size(), static_cast<int64_t>(sizeof(kManifest) - 1));
  EXPECT_EQ(head->content(), "");
  EXPECT_EQ(Ask("v2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ResolveTest, ARegistryThatSaysTooLittleToHeadIsAskedForAll) {
  registry_.meddle = [](const FakeRequest& request, FakeResponse& response) {
    if (request.method == "HEAD") response.headers.clear();
  };
  head_only_ = true;
  const auto response = Ask("v1");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->target().digest(), digest_);
}

TEST_F(ResolveTest, BasicAndTokenAuthenticationGoByWhatIsAsked) {
  for (const auto auth : {FakeRegistry::Auth::kBasic, FakeRegistry::Auth::kToken}) {
    registry_.auth = auth;
    EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kUnauthenticated);
    Origin origin = WithCredentials();
    EXPECT_TRUE(Ask(origin, "v1").ok()) << Ask(origin, "v1").status();
    origin.mutable_hosts(0)->mutable_credentials()->set_secret("wrong");
    EXPECT_EQ(Ask(origin, "v1").status().code(), absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(ResolveTest, ATokenIsKeptForItsScopeAndRenewedWhenRefused) {
  registry_.auth = FakeRegistry::Auth::kToken;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Ask(WithCredentials(), "v1").ok());
  EXPECT_EQ(registry_.CountRequests("GET /token?service=fake&scope=repository%3Aa%2Fb%3Apull"), 1u);
  // A revoked token.
  int refusals = 1;
  registry_.meddle = [&](const FakeRequest& request, FakeResponse& response) {
    if (request.target == "/token" || refusals == 0) return;
    if (!absl::StartsWith(request.target, "/v2/")) return;
    --refusals;
    response = FakeResponse();
    response.status = 401;
    response.headers = {
        {"WWW-Authenticate", absl::StrCat("Bearer realm=\"http://", request.Header("host"),
                                          "/token\",service=\"fake\"")}};
  };
  EXPECT_TRUE(Ask(WithCredentials(), "v1").ok());
  EXPECT_EQ(registry_.CountRequests("GET /token"), 2u);
}

TEST_F(ResolveTest, AnIdentityTokenIsExchanged) {
  registry_.auth = FakeRegistry::Auth::kToken;
  worker::v1::CheckLoginRequest login;
  *login.mutable_origin() = WithCredentials();
  const auto checked = CheckLogin(login, {session_, cancelled_});
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->identity_token(), "identity");
  Origin origin = registry_.OriginOf("a/b");
  origin.mutable_hosts(0)->mutable_credentials()->set_identity_token("identity");
  EXPECT_TRUE(Ask(origin, "v1").ok());
  EXPECT_EQ(registry_.CountRequests("POST /token"), 1u);
  login.mutable_origin()->mutable_hosts(0)->mutable_credentials()->set_secret("wrong");
  EXPECT_EQ(CheckLogin(login, {session_, cancelled_}).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(ResolveTest, CredentialsStayWithTheirHost) {
  registry_.auth = FakeRegistry::Auth::kBasic;
  FakeServer elsewhere([](const FakeRequest&) {
    FakeResponse response;
    response.body = kManifest;
    response.headers = {{"Content-Type", kManifestType}};
    return response;
  });
  registry_.meddle = [&](const FakeRequest&, FakeResponse& response) {
    if (response.status == 401) return;
    response = FakeResponse();
    response.status = 307;
    response.headers = {{"Location", absl::StrCat("http://", elsewhere.address(), "/x")}};
  };
  Origin origin = WithCredentials();
  worker::v1::Header& header = *origin.mutable_hosts(0)->add_headers();
  header.set_name("X-Secret");
  header.add_values("yes");
  const auto response = Ask(origin, "v1");
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(elsewhere.requests().size(), 1u);
  EXPECT_EQ(elsewhere.requests()[0].Header("authorization"), "");
  EXPECT_EQ(elsewhere.requests()[0].Header("x-secret"), "");
  EXPECT_EQ(registry_.requests().back().Header("x-secret"), "yes");
}

TEST_F(ResolveTest, ATokenServerElsewhereInTheClearGetsNoPassword) {
  registry_.meddle = [](const FakeRequest&, FakeResponse& response) {
    response = FakeResponse();
    response.status = 401;
    response.headers = {{"WWW-Authenticate", "Bearer realm=\"http://token.invalid/t\""}};
  };
  EXPECT_EQ(Ask(WithCredentials(), "v1").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ResolveTest, RedirectsInCirclesEnd) {
  registry_.meddle = [](const FakeRequest& request, FakeResponse& response) {
    response = FakeResponse();
    response.status = 302;
    response.headers = {{"Location", request.target}};
  };
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(registry_.requests().size(), 11u);
}

TEST_F(ResolveTest, AManifestThatIsNotItsDigestIsNotTaken) {
  registry_.meddle = [](const FakeRequest&, FakeResponse& response) { response.body += " "; };
  EXPECT_EQ(Ask(digest_).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ResolveTest, EndlessAnswersEnd) {
  registry_.meddle = [](const FakeRequest&, FakeResponse& response) {
    response.endless = true;
    response.body = std::string(100000, ' ');
  };
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kInvalidArgument);
  registry_.meddle = [](const FakeRequest&, FakeResponse& response) {
    response.status = 403;
    response.endless = true;
    response.body = std::string(100000, ' ');
  };
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kPermissionDenied);
  registry_.meddle = [](const FakeRequest&, FakeResponse& response) {
    for (int i = 0; i < 2000; ++i) response.headers.push_back({"X", std::string(100, 'x')});
  };
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ResolveTest, ABusyRegistryIsAskedAgainAfterAWhile) {
  int busy = 2;
  registry_.meddle = [&](const FakeRequest&, FakeResponse& response) {
    if (busy == 0) return;
    response.status = --busy == 1 ? 503 : 429;
    response.headers.push_back({"Retry-After", "0"});
  };
  EXPECT_TRUE(Ask("v1").ok());
  // One that asks for too much patience is told of at once.
  registry_.meddle = [](const FakeRequest&, FakeResponse& response) {
    response.status = 429;
    response.headers.push_back({"Retry-After", "3600"});
  };
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ResolveTest, MirrorsAreAskedFirstAndTheRegistryWhereTheyFail) {
  FakeRegistry mirror;
  Origin origin = mirror.OriginOf("a/b");
  origin.mutable_hosts(0)->set_is_mirror(true);
  *origin.add_hosts() = registry_.OriginOf("a/b").hosts(0);
  const auto response = Ask(origin, "v1");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->host(), registry_.address());
  EXPECT_EQ(mirror.CountRequests("GET /v2/a/b/manifests/v1?ns=registry.test"), 1u);
  mirror.AddManifest("a/b", "v1", kManifest, kManifestType);
  EXPECT_EQ(Ask(origin, "v1")->host(), mirror.address());
  origin.mutable_hosts(0)->set_can_resolve(false);
  EXPECT_EQ(Ask(origin, "v1")->host(), registry_.address());
  origin.mutable_hosts(1)->set_can_resolve(false);
  EXPECT_EQ(Ask(origin, "v1").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ResolveTest, AMirrorThatIsDownIsPassedOverForAWhile) {
  FakeRegistry mirror;
  mirror.AddManifest("a/b", "v1", kManifest, kManifestType);
  mirror.meddle = [](const FakeRequest&, FakeResponse& response) { response.status = 503; };
  Origin origin = mirror.OriginOf("a/b");
  *origin.add_hosts() = registry_.OriginOf("a/b").hosts(0);
  EXPECT_EQ(Ask(origin, "v1")->host(), registry_.address());
  EXPECT_EQ(mirror.requests().size(), 2u);
  EXPECT_EQ(Ask(origin, "v1")->host(), registry_.address());
  EXPECT_EQ(mirror.requests().size(), 2u);
  // Where there is nobody else it is asked all the same, with all patience.
  EXPECT_EQ(Ask(mirror.OriginOf("a/b"), "v1").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(mirror.requests().size(), 7u);
}

TEST_F(ResolveTest, ErrorsNameEveryHostThatWasAsked) {
  FakeRegistry mirror;
  Origin origin = mirror.OriginOf("a/b");
  *origin.add_hosts() = registry_.OriginOf("a/b").hosts(0);
  const auto response = Ask(origin, "missing");
  EXPECT_EQ(response.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(response.status().message(), mirror.address()));
  EXPECT_TRUE(absl::StrContains(response.status().message(), registry_.address()));
}

TEST_F(ResolveTest, PathsAndNamesMayBeRewritten) {
  registry_.AddManifest("cache/hub/x", "v1", kManifest, kManifestType);
  Origin origin = registry_.OriginOf("library/x");
  worker::v1::Rewrite& rewrite = *origin.mutable_hosts(0)->add_rewrites();
  rewrite.set_pattern("^library/(.*)");
  rewrite.set_replacement("hub/$1");
  origin.mutable_hosts(0)->set_path("/v2/cache");
  EXPECT_TRUE(Ask(origin, "v1").ok()) << Ask(origin, "v1").status();
}

TEST_F(ResolveTest, ALoopbackHostWithoutTlsIsSpokenToInTheClear) {
  Origin origin = registry_.OriginOf("a/b");
  origin.mutable_hosts(0)->clear_scheme();
  EXPECT_TRUE(Ask(origin, "v1").ok()) << Ask(origin, "v1").status();
  origin.mutable_hosts(0)->set_scheme("https");
  EXPECT_EQ(Ask(origin, "v1").status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ResolveTest, PagesOfTagsAreRead) {
  worker::v1::TagsRequest request;
  *request.mutable_origin() = registry_.OriginOf("a/b");
  const auto tags = Tags(request, {session_, cancelled_});
  ASSERT_TRUE(tags.ok()) << tags.status();
  EXPECT_EQ(tags->tags_size(), 3);
}

TEST_F(ResolveTest, ACancelledQuestionEnds) {
  cancelled_ = true;
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace berth::registry
