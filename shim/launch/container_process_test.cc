// What a process of a container is given: scheduling, affinity, limits, namespaces by path, and the
// control group's every setting.

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

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

class ProcessTest : public ContainerTest {
 protected:
  // With CONFIG_RT_GROUP_SCHED a v1 group may run real-time programs only within a budget, which
  // the group above must have first: enough for tests that run beside one another.
  void GiveParentRealtimeBudget() {
    const std::string parent = "/sys/fs/cgroup/cpu/runtime-test";
    if (::access("/sys/fs/cgroup/cpu/cpu.rt_runtime_us", F_OK) != 0) return;
    ::mkdir(parent.c_str(), 0755);
    ASSERT_TRUE(
        WriteControlFileAt(BorrowedFd(AT_FDCWD), parent + "/cpu.rt_runtime_us", "800000").ok());
    spec_.linux_members =
        R"("resources":{"cpu":{"realtimeRuntime":100000,"realtimePeriod":1000000}},)";
  }
  void UserNamespace() {
    spec_.namespaces.push_back("user");
    spec_.linux_members = R"("uidMappings":[{"containerID":0,"hostID":200000,"size":1000}],
        "gidMappings":[{"containerID":0,"hostID":300000,"size":1000}],)";
    ChownTree("rootfs", 200000, 300000);
  }
};

TEST_F(ProcessTest, RunsUnderEverySchedulingPolicy) {
  GiveParentRealtimeBudget();
  struct Case {
    const char* members;
    const char* seen;
  };
  for (const Case& c :
       {Case{R"("policy":"SCHED_OTHER","nice":5)", "policy=0 flags=0 nice=5 priority=0 "},
        Case{R"("policy":"SCHED_BATCH","nice":-3)", "policy=3 flags=0 nice=-3 priority=0 "},
        Case{R"("policy":"SCHED_IDLE")", "policy=5 flags=0 nice=0 priority=0 "},
        Case{R"("policy":"SCHED_FIFO","priority":10)", "policy=1 flags=0 nice=0 priority=10 "},
        Case{R"("policy":"SCHED_RR","priority":11,"flags":["SCHED_FLAG_RESET_ON_FORK"])",
             "policy=2 flags=1 nice=0 priority=11 "},
        Case{R"("policy":"SCHED_DEADLINE","runtime":10000000,"deadline":40000000,
                "period":100000000,"flags":["SCHED_FLAG_RESET_ON_FORK","SCHED_FLAG_RECLAIM"])",
             "policy=6 flags=3 nice=0 priority=0 runtime=10000000 deadline=40000000 "
             "period=100000000\n"}}) {
    spec_.process_members = absl::StrCat(R"("scheduler":{)", c.members, "},");
    const Outcome run = RunPayload({"sched-attributes"});
    EXPECT_TRUE(absl::StartsWith(run.output, c.seen))
        << c.seen << "not " << run.output << run.create;
  }
  spec_.process_members = R"("scheduler":{"policy":"SCHED_DEADLINE","runtime":5000000,
      "deadline":4000000,"period":10000000},)";
  const Outcome run = RunPayload({"true"});
  EXPECT_TRUE(StrContains(run.create.message(), "$.process.scheduler")) << run.create;
}

TEST_F(ProcessTest, HasEveryClassOfIoPriority) {
  struct Case {
    const char* name;
    int number;
  };
  for (const Case& c : {Case{"RT", 1}, Case{"BE", 2}, Case{"IDLE", 3}}) {
    spec_.process_members =
        absl::StrCat(R"("ioPriority":{"class":"IOPRIO_CLASS_)", c.name, R"(","priority":4},)");
    const Outcome run = RunPayload({"scheduling"});
    EXPECT_TRUE(StrContains(run.output, absl::StrCat("ioprio=", c.number << 13 | 4, " ")))
        << c.name << run.output << run.create;
  }
}

// execCPUAffinity is of execs: init keeps what it was born with.
TEST_F(ProcessTest, ExecsHaveTheirAffinity) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "one processor leaves no choice";
  spec_.process_members = R"("execCPUAffinity":{"initial":"0-1","final":"1"},)";
  StartServing();
  const std::string status = *ReadFile(absl::StrCat("/proc/", container_->init_pid(), "/status"));
  EXPECT_FALSE(StrContains(status, "Cpus_allowed_list:\t1\n")) << status;
  const std::vector<std::string> look = {"status", "Cpus_allowed_list"};
  EXPECT_EQ(ExecPayload(look).output, "Cpus_allowed_list:\t1\n");
  EXPECT_EQ(ExecPayload(look, "/bin/payload", R"("execCPUAffinity":{"final":"0"},)").output,
            "Cpus_allowed_list:\t0\n");
  // Joining a cpuset forgets the initial one before Linux 6.2, and on that alone nothing depends.
  const Outcome exec = ExecPayload(look, "/bin/payload", R"("execCPUAffinity":{"initial":"0"},)");
  EXPECT_EQ(exec.start, absl::OkStatus());
  const Outcome bad = ExecPayload(look, "/bin/payload", R"("execCPUAffinity":{"final":"x"},)");
  EXPECT_TRUE(StrContains(bad.start.message(), "$.process.execCPUAffinity.final")) << bad.start;
  StopServing();
}

TEST_F(ProcessTest, HasEveryResourceLimit) {
  struct Case {
    const char* type;
    const char* row;
    const char* soft;
    const char* hard;
  };
  const Case cases[] = {{"CPU", "Max cpu time", "100", "200"},
                        {"FSIZE", "Max file size", "1000000", "2000000"},
                        {"DATA", "Max data size", "100000000", "200000000"},
                        {"STACK", "Max stack size", "4194304", "8388608"},
                        {"CORE", "Max core file size", "0", "0"},
                        {"RSS", "Max resident set", "1000000", "2000000"},
                        {"NPROC", "Max processes", "100", "200"},
                        {"NOFILE", "Max open files", "64", "128"},
                        {"MEMLOCK", "Max locked memory", "32768", "65536"},
                        {"AS", "Max address space", "100000000", "200000000"},
                        {"LOCKS", "Max file locks", "10", "20"},
                        {"SIGPENDING", "Max pending signals", "10", "20"},
                        {"MSGQUEUE", "Max msgqueue size", "4096", "8192"},
                        {"NICE", "Max nice priority", "0", "0"},
                        {"RTPRIO", "Max realtime priority", "0", "0"},
                        {"RTTIME", "Max realtime timeout", "1000", "2000"}};
  std::string limits;
  for (const Case& c : cases) {
    absl::StrAppend(&limits, limits.empty() ? "" : ",", R"({"type":"RLIMIT_)", c.type,
                    R"(","soft":)", c.soft, R"(,"hard":)", c.hard, "}");
  }
  spec_.process_members = absl::StrCat(R"("rlimits":[)", limits, "],");
  const Outcome run = RunPayload({"cat", "/proc/self/limits"});
  for (const Case& c : cases) {
    bool found = false;
    for (absl::string_view line : absl::StrSplit(run.output, '\n')) {
      if (!absl::ConsumePrefix(&line, c.row)) continue;
      const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      found = fields.size() > 1 && fields[0] == c.soft && fields[1] == c.hard;
    }
    EXPECT_TRUE(found) << c.type << " in " << run.output << run.create;
  }
}

TEST_F(ProcessTest, GetsArgumentsAndEnvironmentAsTheyAre) {
  WriteConfig({"echo", "a b", "", "$HOME", "\"q\"", ";", "env"});
  std::string text = *ReadFile(Path("config.json"));
  text.replace(text.find("\"PATH=/bin\""), 11,
               R"("PATH=/bin","A=first","B=with = and space","EMPTY=")");
  WriteFile("config.json", text);
  container_ = std::make_unique<Container>(*loop_);
  ASSERT_EQ(Await([&](auto done) { container_->Create(Options(), std::move(done)); }),
            absl::OkStatus());
  EXPECT_EQ(FinishContainer().output,
            "a b  $HOME \"q\"\nPATH=/bin\nA=first\nB=with = and space\nEMPTY=\nHOME=/\n");
}

// Every kind by path, those behind a user namespace among them.
TEST_F(ProcessTest, JoinsEveryKindOfNamespace) {
  const std::vector<std::string> kinds = {"pid", "net", "ipc", "uts", "user", "cgroup", "time"};
  UserNamespace();
  spec_.namespaces.push_back("cgroup");
  spec_.namespaces.push_back("time");
  StartServing();
  const std::string proc = absl::StrCat("/proc/", container_->init_pid(), "/ns/");
  std::string expected;
  std::vector<std::string> look;
  for (const std::string& kind : kinds) {
    char link[64] = "";
    ASSERT_GT(::readlink((proc + kind).c_str(), link, sizeof(link) - 1), 0);
    absl::StrAppend(&expected, link, "\n");
    if (!look.empty()) look.push_back(";");
    look.insert(look.end(), {"readlink", "/proc/self/ns/" + kind});
    spec_.joined.emplace_back(kind == "net" ? "network" : kind, proc + kind);
  }
  auto first = std::move(container_);
  const std::string first_id = id_;
  id_ += "-joined";
  spec_.linux_members = "";
  const Outcome run = RunPayload(look);
  EXPECT_EQ(run.output, expected) << run.create << run.start;
  EXPECT_EQ(run.cleanup, absl::OkStatus());
  container_ = std::move(first);
  id_ = first_id;
  StopServing();
}

TEST_F(ProcessTest, JoinsAMountNamespaceAndLeavesItsMounts) {
  auto ready = MakePipe();
  const pid_t holder = ::fork();
  ASSERT_GE(holder, 0);
  if (holder == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) {
      ::_exit(1);
    }
    (void)!::write(ready->write.get(), "x", 1);
    while (true) ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready->read.get(), &byte, 1), 1);
  const std::string path = absl::StrCat("/proc/", holder, "/ns/mnt");
  char link[64] = "";
  ASSERT_GT(::readlink(path.c_str(), link, sizeof(link) - 1), 0);
  spec_.joined = {{"mount", path}};
  const Outcome run = RunPayload({"readlink", "/proc/self/ns/mnt", ";", "ls", "/"});
  EXPECT_TRUE(absl::StartsWith(run.output, link)) << run.output << run.create;
  EXPECT_TRUE(StrContains(run.output, "bin\n")) << run.output;
  EXPECT_FALSE(StrContains(run.output, "boot\n")) << run.output;
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
}

TEST_F(ProcessTest, SetsAndUpdatesEveryV1Limit) {
  if (HasV2Only()) GTEST_SKIP() << "no v1 controllers";
  GiveParentRealtimeBudget();
  spec_.linux_members = R"("resources":{
      "memory":{"limit":67108864,"reservation":33554432,"swap":100663296,"swappiness":10,
        "disableOOMKiller":true},
      "cpu":{"shares":300,"quota":50000,"period":100000,"burst":20000,"cpus":"0","mems":"0",
        "realtimeRuntime":50000,"realtimePeriod":500000},
      "pids":{"limit":44}},)";
  StartServing();
  struct Case {
    const char* controller;
    const char* file;
    const char* text;
  };
  for (const Case& c :
       {Case{"memory", "memory.limit_in_bytes", "67108864\n"},
        Case{"memory", "memory.soft_limit_in_bytes", "33554432\n"},
        Case{"memory", "memory.memsw.limit_in_bytes", "100663296\n"},
        Case{"memory", "memory.swappiness", "10\n"},
        Case{"memory", "memory.oom_control", "oom_kill_disable 1\n"},
        Case{"cpu", "cpu.shares", "300\n"}, Case{"cpu", "cpu.cfs_quota_us", "50000\n"},
        Case{"cpu", "cpu.cfs_period_us", "100000\n"}, Case{"cpu", "cpu.cfs_burst_us", "20000\n"},
        Case{"cpu", "cpu.rt_runtime_us", "50000\n"}, Case{"cpu", "cpu.rt_period_us", "500000\n"},
        Case{"cpuset", "cpuset.cpus", "0\n"}, Case{"cpuset", "cpuset.mems", "0\n"},
        Case{"pids", "pids.max", "44\n"}}) {
    const std::string text = CgroupFile(c.controller, c.file);
    EXPECT_TRUE(absl::StartsWith(text, c.text)) << c.file << ": " << text;
  }
  // Both limits up, both down: the kernel wants another order for each.
  EXPECT_EQ(container_->Update(R"({"memory":{"limit":134217728,"swap":268435456}})"),
            absl::OkStatus());
  EXPECT_EQ(container_->Update(R"({"memory":{"limit":33554432,"swap":33554432},
      "cpu":{"quota":-1,"idle":1}})"),
            absl::OkStatus());
  EXPECT_EQ(CgroupFile("memory", "memory.memsw.limit_in_bytes"), "33554432\n");
  EXPECT_EQ(CgroupFile("cpu", "cpu.cfs_quota_us"), "-1\n");
  EXPECT_EQ(CgroupFile("cpu", "cpu.idle"), "1\n");
  const absl::Status small =
      container_->Update(R"({"memory":{"limit":4096,"checkBeforeUpdate":true}})");
  EXPECT_EQ(small.code(), absl::StatusCode::kFailedPrecondition) << small;
  EXPECT_EQ(container_->Update(R"({"memory":{"limit":-1,"swap":-1}})"), absl::OkStatus());
  StopServing();
}

TEST_F(ProcessTest, ThrottlesBlockDevicesAndRefusesWeightsWithoutAScheduler) {
  if (HasV2Only()) GTEST_SKIP() << "no v1 controllers";
  // Of a disk that is there.
  std::string device;
  auto directory = OpenFile("/sys/block", O_RDONLY | O_DIRECTORY);
  const auto names = ListDirectory(*directory);
  for (const std::string& name : *names) {
    if (StrContains(name, "zram") || StrContains(name, "loop") || StrContains(name, "ram"))
      continue;
    device = std::string(
        absl::StripTrailingAsciiWhitespace(*ReadFile(absl::StrCat("/sys/block/", name, "/dev"))));
  }
  if (device.empty()) GTEST_SKIP() << "no disk here";
  const std::vector<std::string> numbers = absl::StrSplit(device, ':');
  auto throttle = [&](const char* name, int rate) {
    return absl::StrCat("\"", name, R"(":[{"major":)", numbers[0], R"(,"minor":)", numbers[1],
                        R"(,"rate":)", rate, "}]");
  };
  spec_.linux_members = absl::StrCat(
      R"("resources":{"blockIO":{)", throttle("throttleReadBpsDevice", 1000001), ",",
      throttle("throttleWriteBpsDevice", 1000002), ",", throttle("throttleReadIOPSDevice", 103),
      ",", throttle("throttleWriteIOPSDevice", 104), "}},");
  StartServing();
  for (const auto& [file, rate] : {std::pair("read_bps", 1000001), std::pair("write_bps", 1000002),
                                   std::pair("read_iops", 103), std::pair("write_iops", 104)}) {
    EXPECT_EQ(CgroupFile("blkio", absl::StrCat("blkio.throttle.", file, "_device")),
              absl::StrCat(device, " ", rate, "\n"));
  }
  const absl::Status weight = container_->Update(R"({"blockIO":{"weight":300}})");
  const std::string bfq = CgroupFile("blkio", "blkio.bfq.weight");
  if (weight.ok()) {
    EXPECT_TRUE(StrContains(bfq, "300")) << bfq;
  } else {
    EXPECT_TRUE(StrContains(weight.message(), "load bfq")) << weight;
  }
  StopServing();
}

TEST_F(ProcessTest, LimitsHugePagesAndTheirReservations) {
  const std::string root =
      HasV2Only() ? std::string("/sys/fs/cgroup") : std::string("/sys/fs/cgroup/unified");
  auto controllers = ReadFile(root + "/cgroup.controllers");
  if (!controllers.ok() || !StrContains(*controllers, "hugetlb"))
    GTEST_SKIP() << "no hugetlb on v2";
  spec_.linux_members = R"("resources":{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}],
      "unified":{"cgroup.max.depth":"7"}},)";
  StartServing();
  for (const std::string& path : container_->cgroup_paths()) {
    struct statfs info;
    ASSERT_EQ(::statfs(path.c_str(), &info), 0);
    if (info.f_type != CGROUP2_SUPER_MAGIC) continue;
    EXPECT_EQ(*ReadFile(path + "/hugetlb.2MB.max"), "4194304\n");
    EXPECT_EQ(*ReadFile(path + "/hugetlb.2MB.rsvd.max"), "4194304\n");
    EXPECT_EQ(*ReadFile(path + "/cgroup.max.depth"), "7\n");
  }
  const absl::Status unknown = container_->Update(R"({"unified":{"no.such.file":"1"}})");
  EXPECT_TRUE(StrContains(unknown.message(), "no.such.file")) << unknown;
  StopServing();
}

TEST_F(ProcessTest, SetsEveryV2Limit) {
  if (!HasV2Only()) GTEST_SKIP() << "v1 controllers are here";
  spec_.linux_members = R"("resources":{"memory":{"limit":67108864,"swap":100663296},
      "cpu":{"shares":1024,"quota":50000,"period":100000,"burst":20000,"cpus":"0","mems":"0"}},)";
  StartServing();
  // The linear conversion would say 39.
  EXPECT_EQ(CgroupFile("", "cpu.weight"), "100\n");
  EXPECT_EQ(CgroupFile("", "cpu.max"), "50000 100000\n");
  EXPECT_EQ(CgroupFile("", "cpu.max.burst"), "20000\n");
  EXPECT_EQ(CgroupFile("", "cpuset.mems"), "0\n");
  EXPECT_EQ(CgroupFile("", "memory.swap.max"), "33554432\n");
  EXPECT_EQ(container_->Update(R"({"cpu":{"idle":1}})"), absl::OkStatus());
  EXPECT_EQ(CgroupFile("", "cpu.idle"), "1\n");
  EXPECT_EQ(container_->Update(R"({"memory":{"limit":4096,"checkBeforeUpdate":true}})").code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(container_->Update(R"({"memory":{"swap":1000}})").code(),
            absl::StatusCode::kInvalidArgument);
  StopServing();
}

// A group that its container may write to is its user's, and only there where nothing else shows.
TEST_F(ProcessTest, AWritableV2GroupBelongsToTheContainersRoot) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0 ||
        (!HasV2Only() && ::mount("none", "/sys/fs/cgroup", "cgroup2", 0, nullptr) != 0)) {
      ::_exit(2);
    }
    loop_ = *Loop::Create();  // an epoll set is not to be shared
    UserNamespace();
    spec_.namespaces.push_back("cgroup");
    struct stat info;
    auto owner = [&](const std::string& file) {
      const std::string path = container_->cgroup_paths()[0] + file;
      return ::stat(path.c_str(), &info) == 0 ? info.st_uid : 12345;
    };
    AddMount("/sys/fs/cgroup", "cgroup", "cgroup", {});
    StartServing();
    EXPECT_EQ(owner(""), 200000u);
    EXPECT_EQ(owner("/cgroup.procs"), 200000u);
    EXPECT_EQ(owner("/cgroup.subtree_control"), 200000u);
    EXPECT_EQ(owner("/cgroup.freeze"), 0u);  // not one that the kernel lists
    Await([&](auto done) { container_->Cleanup(std::move(done)); }).IgnoreError();
    container_.reset();
    // Read-only it stays the host's.
    spec_.mounts.pop_back();
    AddMount("/sys/fs/cgroup", "cgroup", "cgroup", {"ro"});
    StartServing();
    EXPECT_EQ(owner("/cgroup.procs"), 0u);
    Await([&](auto done) { container_->Cleanup(std::move(done)); }).IgnoreError();
    container_.reset();
    ::_exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace berth::launch
