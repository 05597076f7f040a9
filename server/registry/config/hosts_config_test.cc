#include "server/registry/config/hosts_config.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace berth::registry {
namespace {

absl::StatusOr<Hosts> Parse(absl::string_view text, absl::string_view registry = "docker.io") {
  return ParseHostsToml(text, registry, [](const std::string& path) -> absl::StatusOr<std::string> {
    if (path == "missing") return absl::NotFoundError("no such file");
    return absl::StrCat("bytes of ", path);
  });
}

TEST(HostsConfigTest, WithoutSettingsTheRegistryServesItself) {
  EXPECT_EQ(DefaultHosts("docker.io").front().host(), "registry-1.docker.io");
  const Hosts hosts = DefaultHosts("localhost:5000");
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_EQ(hosts[0].host(), "localhost:5000");
  EXPECT_EQ(hosts[0].scheme(), "");
  EXPECT_TRUE(hosts[0].can_push());
}

TEST(HostsConfigTest, MirrorsComeInTheirOrderAndTheServerLast) {
  const auto hosts = Parse(R"toml(
server = "https://registry-1.docker.io"
[host."https://z.example:8443"]
  capabilities = ["pull", "Resolve"]
  dial_timeout = "3s"
  [host."https://z.example:8443".header]
    x-one = "a"
    x-two = ["b", "c"]
[host."http://a.example/cache/"]
  skip_verify = true
[host."https://m.example/custom"]
  override_path = true
  [host."https://m.example/custom".rewrite]
    "^library/(.*)" = "hub/$1"
)toml");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  ASSERT_EQ(hosts->size(), 4u);
  const worker::v1::Host& z = (*hosts)[0];
  EXPECT_EQ(z.host(), "z.example:8443");
  EXPECT_EQ(z.path(), "/v2");
  EXPECT_TRUE(z.can_pull() && z.can_resolve() && z.is_mirror());
  EXPECT_FALSE(z.can_push() || z.can_refer());
  EXPECT_EQ(z.dial_timeout_seconds(), 3);
  ASSERT_EQ(z.headers_size(), 2);
  EXPECT_EQ(z.headers(1).values_size(), 2);
  const worker::v1::Host& a = (*hosts)[1];
  EXPECT_EQ(a.scheme(), "http");
  EXPECT_EQ(a.path(), "/cache/v2");
  EXPECT_TRUE(a.tls().skip_verify());
  EXPECT_TRUE(a.can_push());
  EXPECT_EQ((*hosts)[2].path(), "/custom");
  EXPECT_EQ((*hosts)[2].rewrites(0).replacement(), "hub/$1");
  EXPECT_EQ((*hosts)[3].host(), "registry-1.docker.io");
  EXPECT_FALSE((*hosts)[3].is_mirror());
}

TEST(HostsConfigTest, CertificatesAreReadInEachForm) {
  const auto hosts = Parse(R"(
ca = ["one.pem", "/two.pem"]
client = [["c.cert", "c.key"], ["d.cert", ""]]
[host."m.example"]
  ca = "m.pem"
  client = ["both.pem"]
)");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  EXPECT_EQ((*hosts)[0].tls().authorities(), "bytes of m.pem\n");
  EXPECT_EQ((*hosts)[0].scheme(), "https");
  EXPECT_EQ((*hosts)[0].tls().client_certificates(0).certificate(), "bytes of both.pem");
  const worker::v1::Tls& server = (*hosts)[1].tls();
  EXPECT_EQ(server.authorities(), "bytes of one.pem\nbytes of /two.pem\n");
  ASSERT_EQ(server.client_certificates_size(), 2);
  EXPECT_EQ(server.client_certificates(0).key(), "bytes of c.key");
  EXPECT_EQ(server.client_certificates(1).key(), "");
}

TEST(HostsConfigTest, MistakesNameTheirLine) {
  for (const char* text :
       {"\ncapabilities = [\"fly\"]", "\nskip_verify = \"yes\"", "\nca = 1", "\nca = \"missing\"",
        "\ncolour = \"red\"", "\n[host]\nx = 1", "\nserver = 7", "\ndial_timeout = \"soon\"",
        "\n[rewrite]\n\"(\" = \"x\"", "\nclient = [[\"a\"]]", "\n[header]\nx = \"a\\r\\nb: c\"",
        "\nserver = \"ftp://x\"", "\nserver = \"https://u@x\"", "\n[host.\"https://\"]",
        "\nx = ="}) {
    const auto hosts = Parse(text);
    EXPECT_FALSE(hosts.ok()) << text;
    EXPECT_FALSE(hosts.status().message().empty());
  }
  EXPECT_TRUE(absl::StrContains(Parse("\n\ncolour = 1").status().message(), "line 3"));
}

TEST(HostsConfigTest, AHeaderIsOneLine) {
  const auto read = [](const std::string&) -> absl::StatusOr<std::string> { return std::string(); };
  for (const char* text : {"[header]\n\"x\\r\\ny\" = \"1\"\n", "[header]\nx = \"a\\r\\nb: c\"\n",
                           "[header]\n\"x: y\" = \"1\"\n", "[header]\n\"\" = \"1\"\n"}) {
    const auto hosts = ParseHostsToml(text, "r.example", read);
    EXPECT_EQ(hosts.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StrContains(hosts.status().message(), "line 2")) << hosts.status();
  }
  EXPECT_TRUE(ParseHostsToml("[header]\nX-Team_1 = [\"a\", \"b\"]\n", "r.example", read).ok());
}

TEST(HostsConfigTest, DirectoriesAreFoundByNameAndPort) {
  char name[] = "/tmp/berth-hosts-XXXXXX";
  const std::string root = ::mkdtemp(name);
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root + "/" + path).parent_path());
    std::ofstream(root + "/" + path) << text;
  };
  const auto host_of = [&](const std::string& registry) {
    const auto hosts = LoadHosts({root + "/none", root}, registry);
    EXPECT_TRUE(hosts.ok()) << hosts.status();
    return hosts.ok() ? hosts->front() : worker::v1::Host();
  };
  EXPECT_EQ(host_of("a.example:5000").host(), "a.example:5000");
  write("_default/hosts.toml", "[host.\"https://default\"]");
  EXPECT_EQ(host_of("a.example:5000").host(), "default");
  write("a.example:5000/hosts.toml", "[host.\"https://colon\"]\nca = \"own.pem\"");
  write("a.example:5000/own.pem", "PEM");
  EXPECT_EQ(host_of("a.example:5000").tls().authorities(), "PEM\n");
  write("a.example_5000_/hosts.toml", "[host.\"https://underscore\"]");
  EXPECT_EQ(host_of("a.example:5000").host(), "underscore");
  // Docker's way.
  write("b.example/ca.crt", "CA");
  write("b.example/client.cert", "CERT");
  write("b.example/client.key", "KEY");
  const worker::v1::Host docker = host_of("b.example");
  EXPECT_EQ(docker.host(), "b.example");
  EXPECT_EQ(docker.tls().authorities(), "CA\n");
  EXPECT_EQ(docker.tls().client_certificates(0).key(), "KEY");
  write("c.example/hosts.toml", "nonsense");
  const auto bad = LoadHosts({root}, "c.example");
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(bad.status().message(), "c.example/hosts.toml"));
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace berth::registry
