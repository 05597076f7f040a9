// Real containers on the real kernel, with //tests/payload telling what it sees from inside.
#include "shim/launch/container.h"

#include <fcntl.h>
#include <poll.h>
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
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "proto/containerd/cgroups/v1/metrics.pb.h"
#include "shim/launch/container_fixture.h"

namespace berth::launch {
namespace {

TEST_F(ContainerTest, RunsAProgramAndReportsItsExit) {
  Outcome run = RunPayload({"echo", "hello", "from", "inside"});
  EXPECT_EQ(run.create, absl::OkStatus());
  EXPECT_EQ(run.start, absl::OkStatus());
  EXPECT_EQ(run.output, "hello from inside\n");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(RunPayload({"exit", "7"}).exit_code, 7);
}

TEST_F(ContainerTest, LeavesNothingBehind) {
  const std::string before = HostFacts();
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.cleanup, absl::OkStatus());
  EXPECT_EQ(HostFacts(), before);
  for (const std::string& path : run.cgroup_paths) {
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << path;
  }
}

TEST_F(ContainerTest, MakesTheDefaultDevices) {
  Outcome run = RunPayload({"stat", "/dev/null", ";", "stat", "/dev/urandom", ";", "readlink",
                            "/dev/ptmx", ";", "readlink", "/dev/stdout", ";", "stat", "/dev/fuse"});
  EXPECT_EQ(run.output,
            "char mode=0666 uid=0 gid=0 size=0 dev=1:3\nchar mode=0666 uid=0 gid=0 size=0 dev=1:9\n"
            "pts/ptmx\n/proc/self/fd/1\n");
}

TEST_F(ContainerTest, MakesListedDevicesWithModeAndOwner) {
  spec_.linux_members = R"("devices":[{"path":"/dev/net/tun","type":"c","major":10,"minor":200,
      "fileMode":416,"uid":5,"gid":6},{"path":"/dev/pipe","type":"p","fileMode":384}],)";
  Outcome run = RunPayload({"stat", "/dev/net/tun", ";", "stat", "/dev/pipe"});
  EXPECT_EQ(
      run.output,
      "char mode=0640 uid=5 gid=6 size=0 dev=10:200\nfifo mode=0600 uid=0 gid=0 size=0 dev=0:0\n");
}

TEST_F(ContainerTest, BecomesTheUserWithGroupsUmaskAndHome) {
  spec_.user = R"({"uid":1000,"gid":1001,"additionalGids":[5,7],"umask":63})";
  WriteFile("rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n");
  Outcome run = RunPayload({"ids", ";", "env", ";", "status", "Cap"});
  EXPECT_TRUE(absl::StrContains(run.output,
                                "uid=1000/1000/1000 gid=1001/1001/1001 umask=0077 groups=5,7\n"))
      << run.output;
  EXPECT_TRUE(absl::StrContains(run.output, "HOME=/home/bob\n")) << run.output;
  EXPECT_TRUE(absl::StrContains(run.output, "CapEff:\t0000000000000000\n")) << run.output;
  EXPECT_TRUE(absl::StrContains(run.output, "CapBnd:\t0000000000000021\n")) << run.output;
}

TEST_F(ContainerTest, SetsTheFiveCapabilitySets) {
  spec_.user = R"({"uid":1000,"gid":1000})";
  spec_.capabilities = R"({"bounding":["CAP_CHOWN","CAP_KILL"],"permitted":["CAP_CHOWN","CAP_KILL"],
      "effective":["CAP_KILL"],"inheritable":["CAP_KILL"],"ambient":["CAP_KILL"]})";
  Outcome run = RunPayload({"status", "Cap"});
  // Across execve a user without root keeps what is ambient.
  EXPECT_EQ(run.output,
            "CapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n"
            "CapBnd:\t0000000000000021\nCapAmb:\t0000000000000020\n");
}

TEST_F(ContainerTest, SetsNoNewPrivilegesLimitsAndOomScore) {
  spec_.process_members =
      R"("noNewPrivileges":true,"oomScoreAdj":321,
      "rlimits":[{"type":"RLIMIT_NOFILE","soft":123,"hard":456}],)";
  Outcome run = RunPayload(
      {"status", "NoNewPrivs", ";", "limit", "nofile", ";", "cat", "/proc/self/oom_score_adj"});
  EXPECT_EQ(run.output, "NoNewPrivs:\t1\nsoft=123 hard=456\n321\n");
}

TEST_F(ContainerTest, ExplainsALimitThatNeedsMorePrivilegeThanThereIs) {
  if (HasResourceCapability()) GTEST_SKIP() << "this host has CAP_SYS_RESOURCE";
  spec_.process_members =
      R"("rlimits":[{"type":"RLIMIT_NPROC","soft":1,"hard":18446744073709551615},
      {"type":"RLIMIT_NOFILE","soft":1,"hard":99999999}],)";
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.create.code(), absl::StatusCode::kPermissionDenied) << run.create;
  EXPECT_TRUE(absl::StrContains(run.create.message(), "CAP_SYS_RESOURCE")) << run.create;
}

TEST_F(ContainerTest, ClampsAnOomScoreThatTheHostForbids) {
  if (HasResourceCapability()) GTEST_SKIP() << "this host has CAP_SYS_RESOURCE";
  spec_.process_members = R"("oomScoreAdj":-999,)";
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.exit_code, 0) << run.create;
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_TRUE(absl::StrContains(run.warnings[0], "oom_score_adj -999")) << run.warnings[0];
}

TEST_F(ContainerTest, SaysWhyAProgramCannotRun) {
  WriteFile("rootfs/script", "#!/bin/nosuch\n", 0755);
  WriteFile("rootfs/crlf", "#!/bin/payload true\r\n", 0755);
  WriteFile("rootfs/crlf2", "#!/bin/payload\r\n", 0755);
  WriteFile("rootfs/plain", "#!/bin/payload\n", 0644);
  WriteFile("rootfs/text", "just words", 0755);
  struct Case {
    const char* program;
    absl::StatusCode code;
    const char* words;
  };
  for (const Case& c : {
           Case{"nosuch", absl::StatusCode::kNotFound, "executable file not found in $PATH"},
           Case{"/nosuch", absl::StatusCode::kNotFound, "no such file or directory"},
           Case{"/plain", absl::StatusCode::kPermissionDenied, "permission denied"},
           Case{"/etc", absl::StatusCode::kFailedPrecondition,
                "permission denied (EISDIR): it is a directory"},
       }) {
    spec_.program = c.program;
    Outcome run = RunPayload({});
    EXPECT_EQ(run.create.code(), c.code) << run.create;
    EXPECT_TRUE(absl::StrContains(run.create.message(), c.words)) << run.create;
  }
  for (const Case& c : {
           Case{"/script", absl::StatusCode::kNotFound, "interpreter \"/bin/nosuch\""},
           Case{"/crlf2", absl::StatusCode::kNotFound, "carriage return"},
           Case{"/text", absl::StatusCode::kInvalidArgument, "exec format error"},
       }) {
    spec_.program = c.program;
    Outcome run = RunPayload({});
    EXPECT_EQ(run.create, absl::OkStatus());
    EXPECT_TRUE(absl::StrContains(run.start.message(), c.words)) << run.start;
    EXPECT_EQ(run.exit_code, 1);
  }
}

TEST_F(ContainerTest, SaysThatAnElfLoaderIsMissing) {
  spec_.program = "/dynamic";
  // This test itself: in the guest of tests/vm nearly everything else is static.
  WriteFile("rootfs/dynamic", *ReadFile("/proc/self/exe"), 0755);
  Outcome run = RunPayload({});
  EXPECT_TRUE(absl::StrContains(run.start.message(), "ELF loader \"/lib64/ld-linux-x86-64.so.2\""))
      << run.start;
}

TEST_F(ContainerTest, EntersAndMakesTheWorkingDirectory) {
  spec_.cwd = "/made/for/me";
  EXPECT_EQ(RunPayload({"cwd"}).output, "/made/for/me\n");
  WriteFile("rootfs/file", "");
  spec_.cwd = "/file";
  Outcome run = RunPayload({"cwd"});
  EXPECT_TRUE(absl::StrContains(run.create.message(), "not a directory")) << run.create;
}

TEST_F(ContainerTest, RunsAllHooksInOrderWithTheState) {
  const std::string log = Path("hooks.log");
  auto hook = [&](const char* name) {
    return absl::StrCat(R"([{"path":"/bin/sh","args":["sh","-c","echo )", name,
                        R"( $(grep -o '\"status\":\"[a-z]*\"' | cut -d: -f2) >> )", log, R"("]}])");
  };
  // The startContainer hook runs inside, where the payload is the only program.
  spec_.hooks = absl::StrCat(
      R"("prestart":)", hook("prestart"), R"(,"createRuntime":)", hook("createRuntime"),
      R"(,"createContainer":)", hook("createContainer"),
      R"(,"startContainer":[{"path":"/bin/payload","args":["p","write","/dev/shm/x","started"]}])",
      R"(,"poststart":)", hook("poststart"), R"(,"poststop":)", hook("poststop"));
  Outcome run = RunPayload({"cat", "/dev/shm/x"});
  EXPECT_EQ(run.output, "started") << run.create << run.start;
  EXPECT_EQ(*ReadFile(log),
            "prestart \"creating\"\ncreateRuntime \"creating\"\ncreateContainer \"creating\"\n"
            "poststart \"running\"\npoststop \"stopped\"\n");
}

TEST_F(ContainerTest, AFailingHookFailsTheCreateAndSaysWhy) {
  const std::string before = HostFacts();
  spec_.hooks =
      R"("createRuntime":[{"path":"/bin/sh","args":["sh","-c","echo no network >&2; exit 3"]}])";
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.create.message(),
            "createRuntime hook [0] \"/bin/sh\" failed with exit status 3: no network");
  spec_.hooks =
      R"("createContainer":[{"path":"/bin/sh","args":["sh","-c","echo inside >&2; exit 4"]}])";
  run = RunPayload({"true"});
  EXPECT_EQ(run.create.message(),
            "createContainer hook [0] \"/bin/sh\" failed with exit status 4: inside ");
  spec_.hooks = R"("prestart":[{"path":"/bin/sleep","args":["sleep","60"],"timeout":1}])";
  run = RunPayload({"true"});
  EXPECT_EQ(run.create.code(), absl::StatusCode::kDeadlineExceeded) << run.create;
  EXPECT_EQ(HostFacts(), before);
}

TEST_F(ContainerTest, GivesATerminalOfItsOwn) {
  spec_.process_members = R"("terminal":true,"consoleSize":{"height":25,"width":91},)";
  Outcome run = RunPayload({"tty", ";", "stat", "/dev/console"});
  EXPECT_TRUE(absl::StrContains(run.output, "tty=/dev/pts/0 rows=25 columns=91 controlling=yes"))
      << run.output << run.create;
  EXPECT_TRUE(absl::StrContains(run.output, "char mode=0620")) << run.output;
}

TEST_F(ContainerTest, ExecsIntoEveryNamespaceAndTheCgroup) {
  StartServing();
  Outcome exec = ExecPayload({"pid", ";", "hostname", ";", "cat", "/proc/self/cgroup", ";", "fds"});
  EXPECT_TRUE(absl::StartsWith(exec.output, "pid=2 ppid=0 sid=2\n")) << exec.output << exec.start;
  for (absl::string_view line : absl::StrSplit(exec.output, '\n')) {
    if (absl::StrContains(line, ":memory:")) {
      EXPECT_TRUE(absl::EndsWith(line, id_)) << line;
    }
  }
  exec = ExecPayload({"exit", "9"});
  EXPECT_EQ(exec.exit_code, 9);
  exec = ExecPayload({}, "nosuch");
  EXPECT_EQ(exec.start.code(), absl::StatusCode::kNotFound) << exec.start;
  EXPECT_TRUE(absl::StrContains(exec.start.message(), "executable file not found in $PATH"));
  StopServing();
  exec = ExecPayload({"true"});
  EXPECT_EQ(exec.start.code(), absl::StatusCode::kFailedPrecondition) << exec.start;
}

TEST_F(ContainerTest, ExecWithATerminal) {
  StartServing();
  Outcome exec =
      ExecPayload({"tty"}, "payload", R"("terminal":true,"consoleSize":{"height":5,"width":6},)");
  EXPECT_TRUE(absl::StrContains(exec.output, "rows=5 columns=6 controlling=yes")) << exec.output;
  StopServing();
}

TEST_F(ContainerTest, PausesResumesAndKillsAll) {
  StartServing({"brood", "3"});
  auto pids = container_->Pids();
  ASSERT_TRUE(pids.ok()) << pids.status();
  EXPECT_EQ(pids->size(), 4u);
  EXPECT_EQ(Await([&](auto done) { container_->Pause(std::move(done)); }), absl::OkStatus());
  EXPECT_EQ(Await([&](auto done) { container_->Resume(std::move(done)); }), absl::OkStatus());
  EXPECT_EQ(container_->Kill(SIGKILL, KillScope::kAll), absl::OkStatus());
  EXPECT_EQ(WaitForExit(container_->init_pidfd()), 128 + SIGKILL);
  EXPECT_EQ(container_->Kill(SIGTERM, KillScope::kInit).code(), absl::StatusCode::kNotFound);
}

TEST_F(ContainerTest, AppliesAndUpdatesLimitsOnV2) {
  if (!HasV2Only()) GTEST_SKIP() << "v1 controllers are here";
  spec_.linux_members = R"("resources":{"memory":{"limit":67108864,"swap":100663296,
      "reservation":33554432},"pids":{"limit":33},"unified":{"memory.high":"50331648"},
      "cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0"}},)";
  StartServing();
  EXPECT_EQ(CgroupFile("", "memory.max"), "67108864\n");
  EXPECT_EQ(CgroupFile("", "memory.low"), "33554432\n");
  EXPECT_EQ(CgroupFile("", "memory.high"), "50331648\n");
  EXPECT_EQ(CgroupFile("", "pids.max"), "33\n");
  EXPECT_EQ(CgroupFile("", "cpu.max"), "50000 100000\n");
  EXPECT_EQ(CgroupFile("", "cpuset.cpus"), "0\n");
  EXPECT_EQ(container_->Update(R"({"memory":{"limit":33554432},"pids":{"limit":-1}})"),
            absl::OkStatus());
  EXPECT_EQ(CgroupFile("", "memory.max"), "33554432\n");
  EXPECT_EQ(CgroupFile("", "pids.max"), "max\n");
  auto stats = container_->Stats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->type_url, "io.containerd.cgroups.v2.Metrics");
  StopServing();
}

TEST_F(ContainerTest, AppliesAndUpdatesLimits) {
  if (HasV2Only()) GTEST_SKIP() << "no v1 controllers";
  spec_.linux_members = R"("resources":{"memory":{"limit":67108864},"pids":{"limit":33},
      "cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0"}},)";
  StartServing();
  EXPECT_EQ(CgroupFile("memory", "memory.limit_in_bytes"), "67108864\n");
  EXPECT_EQ(CgroupFile("pids", "pids.max"), "33\n");
  EXPECT_EQ(CgroupFile("cpu", "cpu.shares"), "512\n");
  EXPECT_EQ(CgroupFile("cpu", "cpu.cfs_quota_us"), "50000\n");
  EXPECT_EQ(CgroupFile("cpuset", "cpuset.cpus"), "0\n");
  EXPECT_EQ(container_->Update(R"({"memory":{"limit":33554432},"pids":{"limit":-1}})"),
            absl::OkStatus());
  EXPECT_EQ(CgroupFile("memory", "memory.limit_in_bytes"), "33554432\n");
  EXPECT_EQ(CgroupFile("pids", "pids.max"), "max\n");
  EXPECT_EQ(container_->Update(R"({"pids":{"limit":"x"}})").message(),
            "$.linux.resources.pids.limit: expected a number, found a string");
  auto stats = container_->Stats();
  ASSERT_TRUE(stats.ok());
  io::containerd::cgroups::v1::Metrics metrics;
  ASSERT_TRUE(metrics.ParseFromString(stats->value));
  EXPECT_EQ(metrics.memory().usage().limit(), 33554432u);
  EXPECT_EQ(metrics.pids().current(), 1u);
  EXPECT_GT(metrics.cpu().usage().total(), 0u);
  StopServing();
}

TEST_F(ContainerTest, StartsWithinOneMebibyteOfMemory) {
  spec_.linux_members = R"("resources":{"memory":{"limit":1048576}},)";
  Outcome run = RunPayload({"echo", "small"});
  EXPECT_EQ(run.output, "small\n") << run.create << run.start;
}

TEST_F(ContainerTest, ReportsAnOomKill) {
  spec_.linux_members = R"("resources":{"memory":{"limit":8388608,"swap":8388608}},)";
  ASSERT_EQ(CreateContainer({"eat", "64"}), absl::OkStatus());
  int kills = 0;
  ASSERT_EQ(container_->WatchOom([&] { ++kills; }), absl::OkStatus());
  ASSERT_EQ(Await([&](auto done) { container_->Start(std::move(done)); }), absl::OkStatus());
  EXPECT_EQ(WaitForExit(container_->init_pidfd()), 128 + SIGKILL);
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (kills == 0 && absl::Now() < deadline) {
    ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
  }
  EXPECT_GE(kills, 1);
}

TEST_F(ContainerTest, SetsPersonalityAndIoPriority) {
  spec_.process_members = R"("ioPriority":{"class":"IOPRIO_CLASS_BE","priority":6},
      "scheduler":{"policy":"SCHED_BATCH","nice":7},)";
  spec_.linux_members = R"("personality":{"domain":"LINUX32"},)";
  Outcome run = RunPayload({"scheduling"});
  EXPECT_TRUE(absl::StartsWith(run.output, "policy=3 nice=7 ioprio=16390 personality=8 "))
      << run.output << run.create;
}

TEST_F(ContainerTest, CancelUndoesACreateThatHangs) {
  const std::string before = HostFacts();
  spec_.hooks = R"("prestart":[{"path":"/bin/sleep","args":["sleep","1000"]}])";
  WriteConfig({"true"});
  container_ = std::make_unique<Container>(*loop_);
  absl::optional<absl::Status> result;
  container_->Create(Options(), [&](absl::Status status) { result = status; });
  loop_->After(absl::Milliseconds(300), [&] { container_->Cancel(); });
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!result && absl::Now() < deadline) ASSERT_TRUE(loop_->RunOnce(absl::Seconds(1)).ok());
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(HostFacts(), before);
}

TEST_F(ContainerTest, CleansUpWhatALostShimLeft) {
  const std::string before = HostFacts();
  StartServing({"brood", "2"});
  CleanupRecord record;
  record.bundle = bundle_;
  record.init_pid = container_->init_pid();
  record.init_start_time_ticks = container_->init_start_time_ticks();
  record.cgroup_paths = container_->cgroup_paths();
  UniqueFd pidfd = *DupFd(container_->init_pidfd());
  container_.reset();
  EXPECT_EQ(Container::CleanupFromRecord(record, absl::Seconds(10)), absl::OkStatus());
  EXPECT_EQ(WaitForExit(pidfd), 128 + SIGKILL);
  EXPECT_EQ(Container::CleanupFromRecord(record, absl::Seconds(10)), absl::OkStatus());
  EXPECT_EQ(HostFacts(), before);
}

TEST_F(ContainerTest, ManyCyclesKeepDescriptorsAndMemory) {
  RunPayload({"true"});
  const int descriptors = CountDescriptors();
  for (int i = 0; i < 20; ++i) {
    Outcome run = RunPayload({"true"});
    ASSERT_EQ(run.exit_code, 0) << run.create << run.start;
  }
  EXPECT_EQ(CountDescriptors(), descriptors);
}

}  // namespace
}  // namespace berth::launch
