#include "server/main/config.h"

#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "server/main/config_file.h"
#include "server/main/config_keys.h"
#include "server/main/config_text.h"

namespace berth {
namespace {

// The message that `text` is refused with.
std::string Refusal(absl::string_view text) {
  const auto loaded = ParseConfig(text, "c.toml");
  if (loaded.ok()) return "accepted";
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(loaded.status().message());
}

TEST(ConfigTest, DefaultTextReadsBackAsTheDefaults) {
  const std::string text = ConfigText(Config());
  const auto loaded = ParseConfig(text, "c.toml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->warnings.empty());
  EXPECT_EQ(ConfigText(loaded->config), text);
}

TEST(ConfigTest, EveryValueSurvivesTheRoundTrip) {
  Config config;
  config.root = "/r \"quoted\"\\\t";
  config.grpc.socket.gid = 999;
  config.gc.pause_threshold = 0.5;
  config.gc.startup_delay = absl::Milliseconds(1500);
  config.runtime_aliases["io.containerd.kata.v2"] = "/opt/kata/shim";
  const auto loaded = ParseConfig(ConfigText(config), "c.toml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.root, config.root);
  EXPECT_EQ(loaded->config.grpc.socket.gid, 999);
  EXPECT_EQ(loaded->config.gc.startup_delay, absl::Milliseconds(1500));
  EXPECT_EQ(loaded->config.runtime_aliases, config.runtime_aliases);
}

TEST(ConfigTest, EveryKeyIsDocumented) {
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_GT(key.documentation.size(), 15u) << key.table << "." << key.name;
  }
}

TEST(ConfigTest, UnknownKeyIsRefusedWithItsPlaceAndTheKnownOnes) {
  EXPECT_EQ(Refusal("root = \"/x\"\n[grpc]\n  adress = \"/a\"\n"),
            "c.toml:3:3: unknown key \"adress\" in [grpc]: expected one of address, uid, gid, "
            "group, max_recv_message_size, max_send_message_size, tcp_address, tcp_tls_ca, "
            "tcp_tls_cert, tcp_tls_key, tcp_tls_common_name, tcp_plaintext");
  EXPECT_TRUE(absl::StartsWith(Refusal("rot = 1"),
                               "c.toml:1:1: unknown key \"rot\" at the top level: expected one of "
                               "version, root, state, oom_score, grpc, "));
  EXPECT_TRUE(absl::StrContains(Refusal("[snapshot]\na = 1\n"), "unknown key \"snapshot\""));
}

TEST(ConfigTest, WrongValueIsRefusedWithWhatWasExpected) {
  EXPECT_EQ(Refusal("oom_score = \"low\""), "c.toml:1:13: oom_score: expected an integer");
  EXPECT_EQ(Refusal("\noom_score = 1001"),
            "c.toml:2:13: oom_score: 1001 is out of range: expected -1000 to 1000");
  EXPECT_EQ(Refusal("version = 1"), "c.toml:1:11: version: 1 is out of range: expected 2 to 3");
  EXPECT_EQ(Refusal("root = \"var\""),
            "c.toml:1:8: root: \"var\" is not understood: expected an absolute path");
  EXPECT_EQ(Refusal("[gc]\nstartup_delay = \"soon\""),
            "c.toml:2:17: gc.startup_delay: expected a duration such as \"100ms\"");
  EXPECT_TRUE(absl::StrContains(Refusal("[debug]\nlevel = \"loud\""), "c.toml:2:9: debug.level: "));
  EXPECT_TRUE(absl::StrContains(Refusal("grpc = 5"), "unknown key \"grpc\""));
  EXPECT_TRUE(absl::StrContains(Refusal("[runtime_aliases]\na = 1"), "c.toml:2:5: "));
}

TEST(ConfigTest, BrokenTomlIsRefusedWithItsPlace) {
  EXPECT_TRUE(absl::StartsWith(Refusal("root = \n"), "c.toml:1:"));
}

TEST(ConfigTest, ContainerdsFileIsAcceptedWithSharedKeysHonoured) {
  const auto loaded = ParseConfig(R"(
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = -999
imports = []
[grpc]
  address = "/run/containerd/containerd.sock"
  tcp_address = ""
  gid = 7
[debug]
  level = "debug"
[timeouts]
  "io.containerd.timeout.bolt.open" = "0s"
  "io.containerd.timeout.task.state" = "7s"
[plugins]
  [plugins."io.containerd.gc.v1.scheduler"]
    mutation_threshold = 5
  [plugins."io.containerd.metadata.v1.bolt"]
    content_sharing_policy = "isolated"
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "pause"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "overlayfs"
)",
                                  "c.toml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(GrpcAddress(loaded->config), "/run/containerd/containerd.sock");
  EXPECT_EQ(loaded->config.grpc.socket.gid, 7);
  EXPECT_EQ(loaded->config.oom_score, -999);
  EXPECT_EQ(loaded->config.gc.mutation_threshold, 5);
  EXPECT_EQ(loaded->config.timeouts.task_state, absl::Seconds(7));
  EXPECT_EQ(loaded->config.content.sharing_policy, "isolated");
  ASSERT_EQ(loaded->warnings.size(), 3u);
  EXPECT_EQ(loaded->warnings[1],
            "c.toml:21:12: plugins.io.containerd.grpc.v1.cri is ignored: Berth has no such plugin");
}

TEST(ConfigTest, ProxyPluginsAreTablesWithFreeNames) {
  const auto loaded = ParseConfig(R"(
[proxy_plugins]
  [proxy_plugins.stargz]
    type = "snapshot"
    address = "unix:///run/stargz.sock"
    [proxy_plugins.stargz.exports]
      root = "/var/lib/stargz"
  [proxy_plugins.other]
    type = "snapshot"
    address = "/run/containerd.sock"
    snapshotter = "overlayfs"
)",
                                  "c.toml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto& proxies = loaded->config.proxy_plugins;
  ASSERT_EQ(proxies.size(), 2u);
  EXPECT_EQ(proxies.at("stargz").address, "/run/stargz.sock");
  EXPECT_EQ(proxies.at("other").snapshotter, "overlayfs");
  EXPECT_EQ(loaded->warnings.size(), 1u);
  // What is printed is read again as the same.
  const auto again = ParseConfig(ConfigText(loaded->config), "c.toml");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->config.proxy_plugins.at("other").snapshotter, "overlayfs");

  for (const char* bad : {"[proxy_plugins.a]\ntype = \"content\"\naddress = \"/a\"",
                          "[proxy_plugins.a]\ntype = \"snapshot\"\naddress = \"tcp://a\"",
                          "[proxy_plugins.overlayfs]\ntype = \"snapshot\"\naddress = \"/a\"",
                          "[proxy_plugins.a]\nkind = \"snapshot\"", "[proxy_plugins]\na = 5"}) {
    EXPECT_TRUE(absl::StrContains(Refusal(bad), "proxy_plugins")) << bad;
  }
}

TEST(ConfigTest, AddressesFollowTheStateDirectory) {
  Config config;
  config.state = "/s";
  EXPECT_EQ(GrpcAddress(config), "/s/berth.sock");
  EXPECT_EQ(TtrpcAddress(config), "/s/berth.sock.ttrpc");
  config.grpc.socket.address = "/a";
  EXPECT_EQ(TtrpcAddress(config), "/a.ttrpc");
}

}  // namespace
}  // namespace berth
