#include <sched.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "shim/spec/mount_options.h"
#include "shim/spec/names.h"
#include "shim/spec/parse.h"
#include "shim/spec/seccomp_profile.h"

namespace berth::spec {
namespace {

// A specification with `linux_members` inside linux and `members` at the top.
std::string Spec(absl::string_view linux_members, absl::string_view members = "") {
  return absl::StrCat(R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},)",
                      R"("process":{"args":["true"],"cwd":"/"},)", members,
                      R"("linux":{"namespaces":[{"type":"mount"},{"type":"pid"}])",
                      linux_members.empty() ? "" : ",", linux_members, "}}");
}

std::string ErrorOf(std::string json) {
  return std::string(ParseSpec(std::move(json)).status().message());
}

std::string ProcessError(absl::string_view members) {
  std::vector<std::string> warnings;
  return std::string(
      ParseProcess(absl::StrCat(R"({"args":["true"],"cwd":"/",)", members, "}"), warnings)
          .status()
          .message());
}

TEST(SpecTest, AcceptsTheSmallestSpecification) {
  auto plan = ParseSpec(Spec(""));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->process.args, std::vector<std::string>{"true"});
  EXPECT_TRUE(plan->NewNamespace(CLONE_NEWPID));
  EXPECT_FALSE(plan->NewNamespace(CLONE_NEWNET));
}

TEST(SpecTest, FaultsCarryTheirJsonPath) {
  EXPECT_EQ(ErrorOf(absl::StrReplaceAll(Spec(""), {{R"({"type":"pid"})", R"({"type":"foo"})"}})),
            "config.json: $.linux.namespaces[1].type: unknown namespace \"foo\"");
  EXPECT_EQ(
      ErrorOf(Spec(R"("sysctl":{"kernel.panic":"1"})")),
      "config.json: $.linux.sysctl[\"kernel.panic\"]: this sysctl belongs to no namespace: it "
      "would change the host");
  EXPECT_EQ(ErrorOf(Spec(R"("resources":{"memory":{"limit":"1g"}})")),
            "config.json: $.linux.resources.memory.limit: expected a number, found a string");
  EXPECT_EQ(ErrorOf("[]"), "config.json: $: expected an object");
  EXPECT_EQ(ErrorOf("{\n\"ociVersion\" 1}"),
            "config.json: JSON line 2, column 14: expected ':', found '1'");
}

TEST(SpecTest, RefusesWhatWouldReachTheHost) {
  EXPECT_NE(ErrorOf(Spec("", R"("hostname":"x",)")).find("$.hostname"), std::string::npos);
  EXPECT_NE(ErrorOf(Spec(R"("sysctl":{"net.ipv4.ip_forward":"1"})")).find("network namespace"),
            std::string::npos);
  EXPECT_NE(ErrorOf(absl::StrReplaceAll(Spec(""), {{R"({"type":"mount"},)", ""}}))
                .find("no mount namespace"),
            std::string::npos);
  EXPECT_NE(ErrorOf(Spec(R"("uidMappings":[{"containerID":0,"hostID":1,"size":1}])"))
                .find("needs a user namespace"),
            std::string::npos);
}

TEST(SpecTest, ChecksTheProcess) {
  EXPECT_EQ(ProcessError(R"("cwd":"tmp")"),
            "$.process.cwd: must be an absolute path, found \"tmp\"");
  EXPECT_EQ(ProcessError(R"("args":[])"), "$.process.args: empty: name a program to run");
  EXPECT_EQ(ProcessError(R"("rlimits":[{"type":"RLIMIT_NOFILE","soft":2,"hard":1}])"),
            "$.process.rlimits[0].soft: 2 is more than the hard limit 1");
  EXPECT_EQ(ProcessError(R"("rlimits":[{"type":"RLIMIT_X","soft":1,"hard":1}])"),
            "$.process.rlimits[0].type: unknown resource limit \"RLIMIT_X\"");
  EXPECT_EQ(ProcessError(R"("oomScoreAdj":-1001)"),
            "$.process.oomScoreAdj: must be from -1000 to 1000");
  EXPECT_EQ(ProcessError(R"("args":["a\u0000b"])"), "$.process.args[0]: holds a NUL character");
  EXPECT_EQ(ProcessError(R"("user":{"uid":4294967296})"),
            "$.process.user.uid: expected an integer from 0 to 4294967295, found 4294967296");
}

TEST(SpecTest, LeavesOutUnknownCapabilitiesWithAWarning) {
  std::vector<std::string> warnings;
  auto plan = ParseProcess(
      R"({"args":["x"],"capabilities":{"bounding":["CAP_KILL","CAP_FLY"],"effective":["CAP_FLY"]}})",
      warnings);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->capabilities.bounding, uint64_t{1} << 5);
  EXPECT_EQ(plan->capabilities.effective, 0u);
  EXPECT_EQ(warnings, std::vector<std::string>{"unknown capability \"CAP_FLY\" is left out"});
}

TEST(SpecTest, ReadsMountsWithAllKindsOfOptions) {
  auto plan = ParseSpec(Spec("", R"("mounts":[
    {"destination":"/a","type":"bind","source":"/x","options":["rbind","ro","rslave","nosuid","suid"]},
    {"destination":"/b","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k","tmpcopyup"]},
    {"destination":"c","source":"/y","options":["bind","rro","noatime","idmap"]}],)"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const MountPlan& a = plan->mounts[0];
  EXPECT_TRUE(a.bind && a.recursive && a.recursive_propagation);
  EXPECT_EQ(a.propagation, 1u << 19);
  EXPECT_EQ(a.attributes.set, 1u);    // read-only
  EXPECT_EQ(a.attributes.clear, 2u);  // the later suid wins
  const MountPlan& b = plan->mounts[1];
  EXPECT_TRUE(b.copy_up);
  EXPECT_EQ(b.data, (std::vector<std::string>{"mode=755", "size=65536k"}));
  EXPECT_EQ(b.attributes.set, 0x22u);
  EXPECT_EQ(b.attributes.clear, 0x70u);
  const MountPlan& c = plan->mounts[2];
  EXPECT_EQ(c.destination, "/c");
  EXPECT_EQ(c.tree.set, 1u);
  EXPECT_EQ(c.attributes.set, 0x10u);
  EXPECT_EQ(c.id_map, IdMapScope::kMount);
}

TEST(SpecTest, RefusesMountsThatSayNothing) {
  EXPECT_EQ(ErrorOf(Spec("", R"("mounts":[{"destination":"/a"}],)")),
            "config.json: $.mounts[0].type: missing, and the options do not say bind");
  EXPECT_EQ(ErrorOf(Spec("", R"("mounts":[{"destination":"/a","type":"bind"}],)")),
            "config.json: $.mounts[0].source: missing in a bind mount");
  EXPECT_EQ(ErrorOf(Spec("", R"("mounts":[{"type":"proc"}],)")),
            "config.json: $.mounts[0].destination: missing");
}

TEST(SpecTest, ReadsHooksInTheirSixLists) {
  auto plan =
      ParseSpec(Spec("", R"("hooks":{"prestart":[{"path":"/p","args":["p","1"],"timeout":3}],
      "createRuntime":[{"path":"/r"}],"createContainer":[{"path":"/c"}],
      "startContainer":[{"path":"/s"}],"poststart":[{"path":"/a"}],"poststop":[{"path":"/z"}]},)"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->hooks.prestart[0].timeout, absl::Seconds(3));
  EXPECT_EQ(plan->hooks.create_runtime[0].timeout, absl::InfiniteDuration());
  EXPECT_EQ(plan->hooks.poststop[0].path, "/z");
  EXPECT_EQ(ErrorOf(Spec("", R"("hooks":{"poststop":[{"path":"x"}]},)")),
            "config.json: $.hooks.poststop[0].path: must be an absolute path, found \"x\"");
  EXPECT_EQ(ErrorOf(Spec("", R"("hooks":{"prestart":[{"path":"/x","timeout":0}]},)")),
            "config.json: $.hooks.prestart[0].timeout: must be more than 0");
}

TEST(SpecTest, ReadsResourcesOfAnUpdate) {
  auto resources = ParseResources(
      R"({"memory":{"limit":1048576,"swap":-1},"cpu":{"shares":2,"quota":5000,"period":10000,
      "cpus":"0-1"},"pids":{"limit":7},"unified":{"memory.high":"max"},
      "devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":-1}],
      "blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":9}]}})");
  ASSERT_TRUE(resources.ok()) << resources.status();
  EXPECT_EQ(resources->memory.limit_bytes, 1048576);
  EXPECT_EQ(resources->memory.swap_bytes, -1);
  EXPECT_EQ(resources->pids_limit, 7);
  EXPECT_EQ(resources->devices[0].type, 'a');
  EXPECT_EQ(resources->devices[1].major, 1u);
  EXPECT_EQ(resources->devices[1].minor, std::nullopt);
  EXPECT_EQ(resources->block_io.read_bps[0].value, 9u);
  EXPECT_EQ(ParseResources(R"({"unified":{"../x":"1"}})").status().message(),
            "$.linux.resources.unified[\"../x\"]: not a cgroup file name: \"../x\"");
  EXPECT_EQ(ParseResources(R"({"devices":[{"access":"q"}]})").status().message(),
            "$.linux.resources.devices[0].access: expected letters of rwm, found \"q\"");
}

TEST(SpecTest, AVersionBeyondOneIsUnimplemented) {
  auto plan = ParseSpec(absl::StrReplaceAll(Spec(""), {{"1.0.2", "2.0.0"}}));
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kUnimplemented);
}

TEST(SpecTest, IgnoresUnknownMembersAndNulls) {
  auto plan = ParseSpec(Spec(R"("future":{"x":[1]},"maskedPaths":null,"resources":null)",
                             R"("mounts":null,"hooks":null,"vm":{},)"));
  EXPECT_TRUE(plan.ok()) << plan.status();
}

TEST(SeccompProfileTest, ReadsRulesAndNamesTheFault) {
  auto profile = ParseSeccomp(
      R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
      "flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"names":["read","clone"],"action":
      "SCMP_ACT_ALLOW","args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]})");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->default_errno, 38u);
  EXPECT_EQ(profile->rules[0].arguments[0].op, SeccompOperator::kMaskedEqual);
  EXPECT_EQ(ParseSeccomp(R"({"defaultAction":"SCMP_ACT_X"})").status().message(),
            "$.linux.seccomp.defaultAction: unknown action \"SCMP_ACT_X\"");
  EXPECT_EQ(*ParseSeccompFlags(R"({"flags":["SECCOMP_FILTER_FLAG_LOG"]})"), 2u);
}

TEST(NamesTest, FindsSignalsByNameAndNumber) {
  EXPECT_EQ(SignalNumber("KILL"), 9);
  EXPECT_EQ(SignalNumber("sigterm"), 15);
  EXPECT_EQ(SignalNumber("15"), 15);
  EXPECT_EQ(SignalNumber("SIGRTMIN+2"), 36);
  EXPECT_EQ(SignalNumber("FOO"), std::nullopt);
  EXPECT_EQ(SignalNumber("65"), std::nullopt);
}

TEST(NamesTest, ParsesCpuLists) {
  EXPECT_EQ(ParseCpuList("0-2, 5", 100), (std::vector<int>{0, 1, 2, 5}));
  EXPECT_EQ(ParseCpuList("2-1", 100), std::nullopt);
  EXPECT_EQ(ParseCpuList("0-1000", 100), std::nullopt);
  EXPECT_EQ(ParseCpuList("x", 100), std::nullopt);
}

}  // namespace
}  // namespace berth::spec
