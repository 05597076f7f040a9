#include "client/sdk/container_spec.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/oci/capabilities.h"

namespace berth::client {
namespace {

ContainerSpecOptions Options() {
  ContainerSpecOptions options;
  options.ns = "default";
  options.id = "box";
  options.hostname = "box";
  options.process.arguments = {"sh", "-c", "true"};
  options.process.environment = {"PATH=/bin"};
  options.process.capabilities = oci::DefaultCapabilities();
  return options;
}

bool HasNamespace(const Json& spec, const std::string& type) {
  for (const Json& entry : spec["linux"]["namespaces"]) {
    if (entry["type"] == type) return true;
  }
  return false;
}

const Json* MountAt(const Json& spec, const std::string& destination) {
  for (const Json& mount : spec["mounts"]) {
    if (mount["destination"] == destination) return &mount;
  }
  return nullptr;
}

bool AllowsCall(const Json& seccomp, const std::string& call) {
  for (const Json& rule : seccomp["syscalls"]) {
    if (rule["action"] != "SCMP_ACT_ALLOW" || rule.contains("args")) continue;
    const Json& names = rule["names"];
    if (std::find(names.begin(), names.end(), call) != names.end()) return true;
  }
  return false;
}

TEST(ContainerSpecTest, ADefaultContainerHasItsOwnNamespacesAndDockersLimits) {
  const Json spec = MakeContainerSpec(Options());
  for (const char* type : {"pid", "ipc", "uts", "mount", "network"}) {
    EXPECT_TRUE(HasNamespace(spec, type)) << type;
  }
  EXPECT_EQ(spec["linux"]["cgroupsPath"], "/default/box");
  EXPECT_EQ(spec["process"]["args"], Json({"sh", "-c", "true"}));
  EXPECT_EQ(spec["root"]["path"], "rootfs");
  EXPECT_FALSE(spec["root"].contains("readonly"));
  EXPECT_TRUE(spec["linux"].contains("seccomp"));
  EXPECT_FALSE(spec["linux"]["maskedPaths"].empty());
}

TEST(ContainerSpecTest, NothingInADefaultSpecNeedsCapSysResource) {
  const Json spec = MakeContainerSpec(Options());
  EXPECT_FALSE(spec["process"].contains("rlimits"));
  EXPECT_FALSE(spec["process"].contains("oomScoreAdj"));
}

TEST(ContainerSpecTest, DevicesAreDeniedBeforeSomeAreAllowed) {
  const Json rules = MakeContainerSpec(Options())["linux"]["resources"]["devices"];
  EXPECT_EQ(rules[0]["allow"], false);
  EXPECT_FALSE(rules[0].contains("type"));
  const bool null_device = std::any_of(rules.begin(), rules.end(), [](const Json& rule) {
    return rule["allow"] == true && rule.value("major", -1) == 1 && rule.value("minor", -1) == 3;
  });
  EXPECT_TRUE(null_device);
}

TEST(ContainerSpecTest, HostNetworkSharesNamesAndHasNoNamespaceOfItsOwn) {
  ContainerSpecOptions options = Options();
  options.network = NetworkMode::kHost;
  const Json spec = MakeContainerSpec(options);
  EXPECT_FALSE(HasNamespace(spec, "network"));
  ASSERT_NE(MountAt(spec, "/etc/resolv.conf"), nullptr);
}

TEST(ContainerSpecTest, LimitsAreInTheKernelsUnits) {
  ContainerSpecOptions options = Options();
  options.limits = {.memory_bytes = 64 << 20, .cpus = 1.5, .pids = 10};
  const Json resources = MakeContainerSpec(options)["linux"]["resources"];
  EXPECT_EQ(resources["memory"]["limit"], 64 << 20);
  EXPECT_EQ(resources["cpu"]["quota"], 150000);
  EXPECT_EQ(resources["cpu"]["period"], 100000);
  EXPECT_EQ(resources["pids"]["limit"], 10);
}

TEST(ContainerSpecTest, APrivilegedContainerIsNeitherMaskedNorFiltered) {
  ContainerSpecOptions options = Options();
  options.privilege = Privilege::kPrivileged;
  const Json spec = MakeContainerSpec(options);
  EXPECT_FALSE(spec["linux"].contains("seccomp"));
  EXPECT_FALSE(spec["linux"].contains("maskedPaths"));
  EXPECT_EQ(spec["linux"]["resources"]["devices"][0]["allow"], true);
}

TEST(ContainerSpecTest, AUserOtherThanRootStartsWithoutCapabilities) {
  ContainerSpecOptions options = Options();
  options.process.user.uid = 1000;
  const Json capabilities = MakeContainerSpec(options)["process"]["capabilities"];
  EXPECT_TRUE(capabilities["effective"].empty());
  EXPECT_EQ(capabilities["bounding"].size(), oci::DefaultCapabilities().size());
}

TEST(SeccompProfileTest, CapabilitiesOpenTheirCalls) {
  const Json spec = MakeContainerSpec(Options());
  const Json& seccomp = spec["linux"]["seccomp"];
  EXPECT_TRUE(AllowsCall(seccomp, "read"));
  EXPECT_TRUE(AllowsCall(seccomp, "chroot"));  // CAP_SYS_CHROOT is in the default set
  for (const char* call : {"mount", "clone3", "clone", "bpf", "io_uring_setup", "keyctl"}) {
    EXPECT_FALSE(AllowsCall(seccomp, call)) << call;
  }
  ContainerSpecOptions options = Options();
  options.process.capabilities.push_back("CAP_SYS_ADMIN");
  const Json admin = MakeContainerSpec(options);
  EXPECT_TRUE(AllowsCall(admin["linux"]["seccomp"], "mount"));
  EXPECT_TRUE(AllowsCall(admin["linux"]["seccomp"], "clone3"));
}

TEST(CapabilitiesTest, AddAndDropFollowDockersRules) {
  const std::vector<std::string> all = {"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_KILL"};
  auto only = oci::AdjustCapabilities(oci::DefaultCapabilities(), {"chown"}, {"ALL"}, all);
  ASSERT_TRUE(only.ok());
  EXPECT_EQ(*only, std::vector<std::string>{"CAP_CHOWN"});
  auto most = oci::AdjustCapabilities(oci::DefaultCapabilities(), {"all"}, {"CAP_KILL"}, all);
  ASSERT_TRUE(most.ok());
  EXPECT_EQ(*most, (std::vector<std::string>{"CAP_CHOWN", "CAP_SYS_ADMIN"}));
  EXPECT_FALSE(oci::AdjustCapabilities({}, {"FLY"}, {}, all).ok());
}

}  // namespace
}  // namespace berth::client
