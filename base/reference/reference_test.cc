#include "base/reference/reference.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr char kDigest[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string FullOf(absl::string_view text) {
  absl::StatusOr<Reference> reference = Reference::Parse(text);
  return reference.ok() ? reference->Full() : std::string(reference.status().message());
}

TEST(ReferenceTest, ShortNamesAreCompleted) {
  EXPECT_EQ(FullOf("busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(FullOf("busybox:1.36"), "docker.io/library/busybox:1.36");
  EXPECT_EQ(FullOf("bitnami/redis"), "docker.io/bitnami/redis:latest");
  EXPECT_EQ(FullOf("docker.io/busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(FullOf("index.docker.io/library/busybox"), "docker.io/library/busybox:latest");
}

TEST(ReferenceTest, AFirstComponentThatCannotBeAPathIsAHost) {
  EXPECT_EQ(FullOf("localhost/a"), "localhost/a:latest");
  EXPECT_EQ(FullOf("localhost:5000/a/b:c"), "localhost:5000/a/b:c");
  EXPECT_EQ(FullOf("quay.io/a"), "quay.io/a:latest");
  EXPECT_EQ(FullOf("foo/bar/baz"), "docker.io/foo/bar/baz:latest");
}

TEST(ReferenceTest, ADigestReplacesTheDefaultTag) {
  EXPECT_EQ(FullOf(absl::StrCat("busybox@", kDigest)),
            absl::StrCat("docker.io/library/busybox@", kDigest));
  EXPECT_EQ(FullOf(absl::StrCat("busybox:1@", kDigest)),
            absl::StrCat("docker.io/library/busybox:1@", kDigest));
}

TEST(ReferenceTest, MalformedNamesAreRefusedWithTheReason) {
  for (const char* text : {"",
                           "Busybox",
                           "a//b",
                           "-a",
                           "a-",
                           "a..b",
                           "a___b",
                           "a:",
                           "a:-x",
                           "a b",
                           "host.tld:x/a",
                           "host.tld:/a",
                           "a@sha256:12",
                           "..",
                           "a/",
                           "[::1/a",
                           "[gg]/a",
                           "[]/a",
                           "-h.tld/a",
                           "h..tld/a",
                           "host.tld/A",
                           "host.tld/",
                           "@sha256:12"}) {
    absl::StatusOr<Reference> reference = Reference::Parse(text);
    ASSERT_FALSE(reference.ok()) << text << " became " << reference->Full();
    EXPECT_TRUE(absl::IsInvalidArgument(reference.status())) << text;
  }
}

TEST(ReferenceTest, TheGrammarsBordersAreDockers) {
  EXPECT_EQ(FullOf("[::1]:5000/a"), "[::1]:5000/a:latest");
  EXPECT_EQ(FullOf("[fe80::1]/a"), "[fe80::1]/a:latest");
  EXPECT_EQ(FullOf("host.tld:99999/a"), "host.tld:99999/a:latest");
  EXPECT_EQ(FullOf("Host/a"), "Host/a:latest");
  EXPECT_EQ(FullOf("_a/b:c").substr(0, 1), "\"");
  const std::string longest(255 - sizeof("library/") + 1, 'a');
  EXPECT_TRUE(Reference::Parse(longest).ok());
  EXPECT_FALSE(Reference::Parse(longest + "a").ok());
  EXPECT_TRUE(Reference::Parse("a:" + std::string(128, 't')).ok());
  EXPECT_FALSE(Reference::Parse("a:" + std::string(129, 't')).ok());
  // The id of an image, as Docker prints it, is no name; one digit less is.
  EXPECT_FALSE(Reference::Parse(std::string(64, 'a')).ok());
  EXPECT_TRUE(Reference::Parse(std::string(63, 'a')).ok());
}

TEST(ReferenceTest, JoinersBetweenAlphanumericsAreAllowed) {
  for (const char* text : {"a.b", "a_b", "a__b", "a-b", "a---b", "0a", "a/b.c/d__e"}) {
    EXPECT_TRUE(Reference::Parse(text).ok()) << text;
  }
}

TEST(ReferenceTest, TheFamiliarFormParsesBackToTheSameName) {
  for (const char* text : {"busybox", "bitnami/redis:7", "localhost:5000/a:b", "quay.io/x/y",
                           "docker.io/library/a/b", "index.docker.io/x.docker.io/a5"}) {
    absl::StatusOr<Reference> reference = Reference::Parse(text);
    ASSERT_TRUE(reference.ok()) << text;
    EXPECT_EQ(FullOf(reference->Familiar()), reference->Full()) << text;
  }
  EXPECT_EQ(FamiliarName("docker.io/library/busybox:latest"), "busybox:latest");
  EXPECT_EQ(FamiliarName("import-2024 x"), "import-2024 x");
}

}  // namespace
}  // namespace berth
