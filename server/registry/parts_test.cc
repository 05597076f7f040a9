// The parts that only read text: challenges, URLs, errors, manifests.
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/registry/challenge.h"
#include "server/registry/manifest.h"
#include "server/registry/registry_error.h"
#include "server/registry/url.h"

namespace berth::registry {
namespace {

TEST(ChallengeTest, SchemesAndParametersAreTakenApart) {
  const auto challenges = ParseChallenges(
      "Bearer realm=\"https://auth.example/token\",service=\"reg, istry\", "
      "scope=\"repository:a/b:pull,push\", Basic realm=\"say \\\"hi\\\"\"");
  ASSERT_EQ(challenges.size(), 2u);
  EXPECT_EQ(challenges[0].scheme, "bearer");
  EXPECT_EQ(challenges[0].parameters.at("realm"), "https://auth.example/token");
  EXPECT_EQ(challenges[0].parameters.at("service"), "reg, istry");
  EXPECT_EQ(challenges[0].parameters.at("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(challenges[1].scheme, "basic");
  EXPECT_EQ(challenges[1].parameters.at("realm"), "say \"hi\"");
}

TEST(ChallengeTest, NonsenseNeitherHangsNorGrows) {
  for (const char* text :
       {"", ",,,", "=", "\"", "a=\"", "Bearer realm=\"open", "\x01\x02", "a=b"}) {
    (void)ParseChallenges(text);
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&many, "scheme", i, " a=b, ");
  EXPECT_LE(ParseChallenges(many).size(), 16u);
}

TEST(UrlTest, WhatMayShareCredentials) {
  const Url registry = *ParseUrl("https://Registry.example/v2/");
  EXPECT_EQ(registry.host, "registry.example");
  EXPECT_EQ(registry.port, "443");
  EXPECT_TRUE(registry.SameOrigin(*ParseUrl("https://registry.example:443/other")));
  EXPECT_FALSE(registry.SameOrigin(*ParseUrl("https://registry.example:444/")));
  EXPECT_FALSE(registry.SameOrigin(*ParseUrl("http://registry.example/")));
  EXPECT_FALSE(registry.SameOrigin(*ParseUrl("https://registry.example.evil/")));
  for (const char* text :
       {"", "ftp://a/", "file:///etc/passwd", "https://", "https://u:p@a/", "x"}) {
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
  }
}

TEST(UrlTest, LocationsAreRelativeToWhereTheyCameFrom) {
  const Url base = *ParseUrl("https://a.example/v2/x/blobs/uploads/");
  EXPECT_EQ(ResolveUrl(base, "/v2/y?z=1")->text, "https://a.example/v2/y?z=1");
  EXPECT_EQ(ResolveUrl(base, "http://b.example:8080/c")->port, "8080");
  EXPECT_EQ(ResolveUrl(base, "//b.example/c")->scheme, "https");
  EXPECT_FALSE(ResolveUrl(base, "file:///etc/passwd").ok());
  EXPECT_FALSE(ResolveUrl(base, "").ok());
}

TEST(UrlTest, LoopbackIsAnAddressAndNotAPrefix) {
  for (const char* host : {"localhost", "localhost:5000", "127.0.0.1", "127.8.9.1:80", "[::1]:1"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"127.evil.example", "localhost.evil", "10.0.0.1", "[::2]", "x"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
  EXPECT_EQ(EscapeQuery("a b/c:d~é"), "a%20b%2Fc%3Ad~%C3%A9");
}

TEST(RegistryErrorTest, TheRegistrysWordsAreShownAndTheCodeIsTold) {
  HttpResponse response;
  response.status = 404;
  response.error_body =
      "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"no such\\u0007\"}]}";
  const absl::Status status = ErrorOf(response, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "x: HTTP 404: MANIFEST_UNKNOWN: no such");
  const auto code = [&](int number) {
    response.status = number;
    return ErrorOf(response, "x").code();
  };
  EXPECT_EQ(code(401), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(code(403), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(429), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code(503), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code(400), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorText("<html><body>oops"), "");
  EXPECT_LE(ErrorText(std::string(5000, 'x')).size(), 300u);
}

TEST(RegistryErrorTest, RetryAfterIsSecondsOrADate) {
  const absl::Time now = absl::FromUnixSeconds(1700000000);
  HttpResponse response;
  const auto after = [&](const std::string& value) {
    response.headers = {{"retry-after", value}};
    return RetryAfter(response, now);
  };
  EXPECT_EQ(after("7"), absl::Seconds(7));
  EXPECT_EQ(after("-7"), absl::ZeroDuration());
  EXPECT_EQ(after("Tue, 14 Nov 2023 22:13:50 GMT"), absl::Seconds(30));
  EXPECT_EQ(after("Tue, 14 Nov 2003 22:13:50 GMT"), absl::ZeroDuration());
  EXPECT_EQ(after("soon"), absl::ZeroDuration());
}

TEST(ManifestTest, TheTypeIsWhatBothSayOrWhatTheContentShows) {
  const std::string index = "application/vnd.oci.image.index.v1+json";
  const std::string manifest = "application/vnd.oci.image.manifest.v1+json";
  EXPECT_EQ(*ManifestType(manifest, "{\"layers\":[]}"), manifest);
  EXPECT_EQ(*ManifestType("application/json; charset=utf-8", "{\"manifests\":[]}"), index);
  EXPECT_EQ(*ManifestType("", absl::StrCat("{\"mediaType\":\"", index, "\"}")), index);
  EXPECT_FALSE(ManifestType(manifest, absl::StrCat("{\"mediaType\":\"", index, "\"}")).ok());
  EXPECT_FALSE(ManifestType(manifest, "{\"layers\":[],\"manifests\":[]}").ok());
  EXPECT_FALSE(ManifestType("text/html", "<html>").ok());
  EXPECT_FALSE(ManifestType(manifest, "[]").ok());
  EXPECT_EQ(ManifestType("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}")
                .status()
                .code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace berth::registry
