// The rarer lines of the OCI specification, each seen from inside a real container: what
// docs/howto/oci-conformance.md lists and the other container tests do not cover.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "shim/launch/container_fixture.h"

namespace berth::launch {
namespace {

using absl::StrContains;

int Shell(const std::string& command) { return std::system(command.c_str()); }

class OciTest : public ContainerTest {
 protected:
  std::string Mounts() { return RunPayload({"cat", "/proc/self/mountinfo"}).output; }
};

TEST_F(OciTest, AFailingPoststartHookEndsTheContainer) {
  spec_.hooks = R"("poststart":[{"path":"/bin/sh","args":["sh","-c","echo late >&2; exit 5"]}])";
  Outcome run = RunPayload({"serve"});
  EXPECT_EQ(run.create, absl::OkStatus());
  EXPECT_TRUE(StrContains(run.start.message(), "poststart hook [0]")) << run.start;
  EXPECT_TRUE(StrContains(run.start.message(), "late")) << run.start;
  EXPECT_EQ(run.exit_code, 128 + SIGKILL);
}

TEST_F(OciTest, AFailingPoststopHookIsAWarningAndTheNextOnesRun) {
  spec_.hooks = absl::StrCat(R"("poststop":[{"path":"/bin/false"},{"path":"/bin/sh","args":["sh",)",
                             R"("-c","echo $A > )", Path("ran"), R"("],"env":["A=from-env"]}])");
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.cleanup, absl::OkStatus());
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_TRUE(StrContains(run.warnings[0], "poststop hook [0]")) << run.warnings[0];
  EXPECT_EQ(*ReadFile(Path("ran")), "from-env\n");
}

TEST_F(OciTest, AHookReadsTheWholeStateOnItsStandardInput) {
  spec_.hooks = absl::StrCat(R"("createRuntime":[{"path":"/bin/sh","args":["sh","-c","cat > )",
                             Path("state"), R"("]}])");
  RunPayload({"true"});
  const std::string state = *ReadFile(Path("state"));
  for (const std::string& part : {std::string("\"ociVersion\":\"1.0.2\""), "\"id\":\"" + id_ + "\"",
                                  std::string("\"status\":\"creating\""), std::string("\"pid\":"),
                                  "\"bundle\":\"" + bundle_ + "\""}) {
    EXPECT_TRUE(StrContains(state, part)) << state;
  }
}

TEST_F(OciTest, HasItsHostAndDomainName) {
  spec_.hostname = "inside";
  spec_.linux_members = "";
  WriteConfig({"hostname"});
  std::string text = *ReadFile(Path("config.json"));
  text.insert(1, "\"domainname\":\"example.test\",");
  WriteFile("config.json", text);
  container_ = std::make_unique<Container>(*loop_);
  ASSERT_EQ(Await([&](auto done) { container_->Create(Options(), std::move(done)); }),
            absl::OkStatus());
  EXPECT_EQ(FinishContainer().output, "inside example.test\n");
}

TEST_F(OciTest, RecursiveAttributesReachEveryMountOfATree) {
  WriteFile("source/below/file", "x");
  ASSERT_EQ(::mount("none", Path("source/below").c_str(), "tmpfs", 0, nullptr), 0);
  AddMount("/tree", "bind", Path("source"), {"rbind", "rro", "rnosuid"});
  AddMount("/plain", "bind", Path("source"), {"rbind", "ro"});
  const std::string mounts = Mounts();
  EXPECT_EQ(::umount2(Path("source/below").c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(StrContains(MountLine(mounts, "/tree"), " ro,nosuid")) << mounts;
  EXPECT_TRUE(StrContains(MountLine(mounts, "/tree/below"), " ro,nosuid")) << mounts;
  EXPECT_TRUE(StrContains(MountLine(mounts, "/plain"), " ro,")) << mounts;
  EXPECT_TRUE(StrContains(MountLine(mounts, "/plain/below"), " rw,")) << mounts;
}

TEST_F(OciTest, MountsHaveTheFlagsThatTheirOptionsName) {
  AddMount("/flags", "tmpfs", "tmpfs",
           {"nosuid", "nodev", "noexec", "noatime", "nosymfollow", "size=64k", "mode=700"});
  AddMount("relative/place", "tmpfs", "tmpfs", {"nodiratime", "ro"});
  const std::string mounts = Mounts();
  const std::string line = MountLine(mounts, "/flags");
  for (const char* flag : {"nosuid", "nodev", "noexec", "noatime", "nosymfollow", "size=64k"}) {
    EXPECT_TRUE(StrContains(line, flag)) << flag << " in " << line;
  }
  // A destination without a slash is taken from the root.
  EXPECT_TRUE(StrContains(MountLine(mounts, "/relative/place"), " ro,")) << mounts;
}

TEST_F(OciTest, PropagationOfMountsAndOfTheRoot) {
  WriteFile("source/file", "x");
  ASSERT_EQ(::mount(Path("source").c_str(), Path("source").c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, Path("source").c_str(), nullptr, MS_SHARED, nullptr), 0);
  AddMount("/slave", "bind", Path("source"), {"rbind", "rslave"});
  AddMount("/shared", "bind", Path("source"), {"rbind", "rshared"});
  AddMount("/private", "bind", Path("source"), {"rbind", "rprivate"});
  AddMount("/unbindable", "bind", Path("source"), {"rbind", "runbindable"});
  spec_.linux_members = R"("rootfsPropagation":"shared",)";
  const std::string mounts = Mounts();
  EXPECT_EQ(::umount2(Path("source").c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(StrContains(MountLine(mounts, "/slave"), " master:")) << mounts;
  EXPECT_TRUE(StrContains(MountLine(mounts, "/shared"), " shared:")) << mounts;
  EXPECT_FALSE(StrContains(MountLine(mounts, "/private"), "shared:")) << mounts;
  EXPECT_FALSE(StrContains(MountLine(mounts, "/private"), "master:")) << mounts;
  EXPECT_TRUE(StrContains(MountLine(mounts, "/unbindable"), "unbindable")) << mounts;
  EXPECT_TRUE(StrContains(MountLine(mounts, "/"), " shared:")) << mounts;
}

TEST_F(OciTest, LinksAsBindSourcesAndDestinations) {
  WriteFile("source/file", "x");
  ASSERT_EQ(::symlink("source/file", Path("link").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", Path("rootfs/alias").c_str()), 0);
  AddMount("/followed", "bind", Path("link"), {"bind"});
  AddMount("/copied", "bind", Path("link"), {"bind", "copy-symlink"});
  Outcome run = RunPayload({"stat", "/followed", ";", "readlink", "/copied"});
  EXPECT_TRUE(absl::StartsWith(run.output, "file ")) << run.output << run.create;
  EXPECT_TRUE(StrContains(run.output, "source/file")) << run.output;
  AddMount("/alias/in", "bind", Path("source"), {"bind", "dest-nofollow"});
  run = RunPayload({"true"});
  EXPECT_FALSE(run.create.ok()) << "a destination through a link was accepted";
}

TEST_F(OciTest, MovesItsRootWherePivotRootIsNotWanted) {
  WriteConfig({"ls", "/", ";", "cat", "/proc/self/mountinfo"});
  container_ = std::make_unique<Container>(*loop_);
  CreateOptions options = Options();
  options.root_switch = RootSwitch::kMoveMount;
  ASSERT_EQ(Await([&](auto done) { container_->Create(std::move(options), std::move(done)); }),
            absl::OkStatus());
  const Outcome run = FinishContainer();
  EXPECT_TRUE(absl::StartsWith(MountLine(run.output, "/"), "")) << run.output;
  EXPECT_TRUE(StrContains(run.output, "bin\n")) << run.output;
  // Nothing of the host is listed: not its root's directories, not its mounts.
  EXPECT_FALSE(StrContains(run.output, "\nboot\n")) << run.output;
  EXPECT_FALSE(StrContains(run.output, " /sys/fs/cgroup/memory ")) << run.output;
}

TEST_F(OciTest, PassesPreservedDescriptorsFromThree) {
  WriteFile("kept", "kept bytes");
  WriteConfig({"fds", ";", "cat", "/proc/self/fd/3"});
  container_ = std::make_unique<Container>(*loop_);
  CreateOptions options = Options();
  options.preserved_fds.push_back(*OpenFile(Path("kept"), O_RDONLY));
  ASSERT_EQ(Await([&](auto done) { container_->Create(std::move(options), std::move(done)); }),
            absl::OkStatus());
  const Outcome run = FinishContainer();
  EXPECT_TRUE(StrContains(run.output, "\n3 ")) << run.output;
  EXPECT_FALSE(StrContains(run.output, "\n4 ")) << run.output;
  EXPECT_TRUE(StrContains(run.output, "kept bytes")) << run.output;
}

TEST_F(OciTest, HasASessionKeyringOfItsOwn) {
  if (::access("/proc/keys", F_OK) != 0) GTEST_SKIP() << "this kernel has no /proc/keys";
  const Outcome run = RunPayload({"cat", "/proc/keys"});
  EXPECT_TRUE(StrContains(run.output, "_ses." + id_)) << run.output << run.errors;
}

// A label that the kernel cannot give must not be lost in silence.
TEST_F(OciTest, LabelsAreAppliedOrRefused) {
  const bool apparmor = ::access("/sys/kernel/security/apparmor", F_OK) == 0 ||
                        ::access("/proc/self/attr/apparmor/exec", F_OK) == 0;
  spec_.process_members = R"("apparmorProfile":"no-such-profile",)";
  Outcome run = RunPayload({"true"});
  ASSERT_FALSE(run.create.ok() && run.start.ok());
  const std::string told = absl::StrCat(run.create.message(), run.start.message());
  EXPECT_TRUE(StrContains(told, apparmor ? "AppArmor profile" : "this kernel has no AppArmor"))
      << told;
  EXPECT_TRUE(StrContains(told, "no-such-profile")) << told;
  // "unconfined" asks for nothing.
  spec_.process_members = R"("apparmorProfile":"unconfined",)";
  EXPECT_EQ(RunPayload({"echo", "ok"}).output, "ok\n");
  if (::access("/sys/fs/selinux/enforce", F_OK) == 0) return;
  spec_.process_members = R"("selinuxLabel":"system_u:system_r:container_t:s0",)";
  run = RunPayload({"true"});
  EXPECT_TRUE(StrContains(absl::StrCat(run.create.message(), run.start.message()),
                          "SELinux is not active here"));
}

TEST_F(OciTest, SetsTheMemoryPolicyOrSaysThatTheKernelLacksIt) {
  spec_.linux_members = R"("memoryPolicy":{"mode":"MPOL_INTERLEAVE","nodes":"0"},)";
  const Outcome run = RunPayload({"cat", "/proc/self/numa_maps"});
  if (run.create.ok()) {
    EXPECT_TRUE(StrContains(run.output, "interleave:0")) << run.output << run.errors;
  } else {
    EXPECT_TRUE(StrContains(run.create.message(), "$.linux.memoryPolicy")) << run.create;
    EXPECT_TRUE(StrContains(run.create.message(), "ENOSYS")) << run.create;
  }
  spec_.linux_members = R"("memoryPolicy":{"mode":"MPOL_SOMETIMES","nodes":"0"},)";
  EXPECT_TRUE(StrContains(RunPayload({"true"}).create.message(), "$.linux.memoryPolicy.mode"));
}

// Where a controller is missing, a limit that only it can hold is refused by name.
TEST_F(OciTest, LimitsWithoutTheirControllerAreRefused) {
  const std::string before = HostFacts();
  const std::string controllers = *ReadFile("/proc/cgroups");
  struct Case {
    const char* controller;
    const char* resources;
    const char* named;
  };
  for (const Case& c :
       {Case{"rdma", R"("rdma":{"mlx5_0":{"hcaHandles":3}})", "rdma"},
        Case{"hugetlb", R"("hugepageLimits":[{"pageSize":"2MB","limit":0}])", "hugetlb"},
        Case{"net_cls", R"("network":{"classID":1048577})", "net_cls"}}) {
    if (StrContains(controllers, absl::StrCat(c.controller, "\t"))) continue;
    spec_.linux_members = absl::StrCat(R"("resources":{)", c.resources, "},");
    const Outcome run = RunPayload({"true"});
    EXPECT_FALSE(run.create.ok()) << c.controller;
    EXPECT_TRUE(StrContains(run.create.message(), c.named)) << run.create;
  }
  EXPECT_EQ(HostFacts(), before);
}

TEST_F(OciTest, IntelRdtIsRefusedWhereThereIsNone) {
  if (::access("/sys/fs/resctrl/schemata", F_OK) == 0) GTEST_SKIP() << "this machine has resctrl";
  spec_.linux_members = R"("intelRdt":{"closID":"guest"},)";
  const Outcome run = RunPayload({"true"});
  EXPECT_TRUE(StrContains(run.create.message(), "$.linux.intelRdt")) << run.create;
}

TEST_F(OciTest, TheSystemdDriverIsRefusedWhereSystemdDoesNotRun) {
  if (::access("/run/systemd/system", F_OK) == 0) GTEST_SKIP() << "systemd runs here";
  WriteConfig({"true"});
  container_ = std::make_unique<Container>(*loop_);
  CreateOptions options = Options();
  options.cgroup_driver = CgroupDriver::kSystemd;
  absl::Status status =
      Await([&](auto done) { container_->Create(std::move(options), std::move(done)); });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(StrContains(status.message(), "use the cgroupfs driver")) << status;
  container_.reset();
}

class NetDeviceTest : public OciTest {
 protected:
  void SetUp() override {
    OciTest::SetUp();
    name_ = absl::StrCat("bt", ::getpid() % 100000);
    if (Shell(absl::StrCat("ip link add ", name_, " type dummy 2>/dev/null || ip link add ", name_,
                           " type veth peer name ", name_, "p 2>/dev/null")) != 0) {
      GTEST_SKIP() << "no network device can be made here";
    }
    ASSERT_EQ(Shell(absl::StrCat("ip addr add 192.0.2.7/24 dev ", name_)), 0);
  }
  void TearDown() override {
    Shell(absl::StrCat("ip link del ", name_, " 2>/dev/null; ip link del ", name_,
                       "p 2>/dev/null; true"));
    OciTest::TearDown();
  }
  void Want(const std::string& renamed) {
    spec_.linux_members =
        absl::StrCat(R"("netDevices":{")", name_, R"(":{"name":")", renamed, R"("}},)");
  }
  std::string name_;
};

TEST_F(NetDeviceTest, MovesIntoTheContainerWithNameAndAddresses) {
  Want("data0");
  Outcome run = RunPayload({"net", ";", "addresses"});
  EXPECT_TRUE(StrContains(run.output, "data0 up\n")) << run.output << run.create;
  EXPECT_TRUE(StrContains(run.output, "data0 192.0.2.7/255.255.255.0\n")) << run.output;
  EXPECT_NE(::access(absl::StrCat("/sys/class/net/", name_).c_str(), F_OK), 0);
}

TEST_F(NetDeviceTest, MovesIntoAUserNamespaceToo) {
  Want("");
  ChownTree("rootfs", 100000, 100000);
  spec_.namespaces.push_back("user");
  absl::StrAppend(&spec_.linux_members,
                  R"("uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],)",
                  R"("gidMappings":[{"containerID":0,"hostID":100000,"size":65536}],)");
  Outcome run = RunPayload({"net", ";", "addresses"});
  EXPECT_TRUE(StrContains(run.output, absl::StrCat(name_, " up\n"))) << run.output << run.create;
  EXPECT_TRUE(StrContains(run.output, absl::StrCat(name_, " 192.0.2.7/"))) << run.output;
}

TEST_F(NetDeviceTest, FaultsNameTheDevice) {
  spec_.linux_members = R"("netDevices":{"nosuchdev0":{}},)";
  Outcome run = RunPayload({"true"});
  EXPECT_TRUE(StrContains(run.create.message(), "nosuchdev0")) << run.create;
  Want("lo");
  run = RunPayload({"true"});
  EXPECT_TRUE(StrContains(run.create.message(), "has a device of this name already")) << run.create;
}

}  // namespace
}  // namespace berth::launch
