// What a container can see and reach: mounts, namespaces, devices, system calls.

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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

TEST_F(ContainerTest, IsAloneInItsNamespaces) {
  spec_.hostname = "inside";
  Outcome run = RunPayload({"pid", ";", "hostname", ";", "net", ";", "ls", "/proc/self/task"});
  EXPECT_EQ(run.output, "pid=1 ppid=0 sid=1\ninside (none)\nlo up\n1\n");
}

TEST_F(ContainerTest, StartsWithNothingOpenButItsStandardDescriptors) {
  Outcome run = RunPayload({"fds"});
  const std::vector<std::string> lines = absl::StrSplit(run.output, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u) << run.output;
  EXPECT_TRUE(absl::StartsWith(lines[0], "0 /dev/null"));
}

TEST_F(ContainerTest, ShowsOnlyTheMountsOfItsOwn) {
  Outcome run = RunPayload({"cat", "/proc/self/mountinfo"});
  for (absl::string_view line : absl::StrSplit(run.output, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    EXPECT_FALSE(absl::StartsWith(fields[4], "/tmp")) << line;
    EXPECT_FALSE(absl::StrContains(line, "shared:")) << line;
  }
  EXPECT_TRUE(absl::StrContains(run.output, " / rw,relatime")) << run.output;
  EXPECT_TRUE(absl::StrContains(run.output, " /dev/shm rw,nosuid,nodev,noexec")) << run.output;
}

TEST_F(ContainerTest, MasksAndProtectsPaths) {
  WriteFile("rootfs/secret", "hidden");
  WriteFile("rootfs/dir/file", "hidden");
  WriteFile("rootfs/dir2/file", "hidden");
  WriteFile("rootfs/fixed/file", "kept");
  spec_.linux_members = R"("maskedPaths":["/secret","/dir","/dir2","/proc/kcore","/missing"],
      "readonlyPaths":["/fixed","/proc/sys","/missing"],)";
  Outcome run = RunPayload({"cat",         "/secret",
                            ";",           "ls",
                            "/dir",        ";",
                            "ls",          "/dir2",
                            ";",           "cat",
                            "/fixed/file", ";",
                            "write",       "/fixed/file",
                            "x",           ";",
                            "write",       "/dir/new",
                            "x",           ";",
                            "write",       "/proc/sys/kernel/domainname",
                            "x",           ";",
                            "stat",        "/secret"});
  EXPECT_EQ(run.output, "keptchar mode=0666 uid=0 gid=0 size=0 dev=1:3\n");
  EXPECT_EQ(run.errors,
            "/fixed/file: Read-only file system\n/dir/new: Read-only file system\n"
            "/proc/sys/kernel/domainname: Read-only file system\n");
}

TEST_F(ContainerTest, MakesTheRootReadonlyButNotItsMounts) {
  spec_.root_readonly = true;
  Outcome run = RunPayload({"write", "/x", "1", ";", "write", "/dev/shm/y", "1"});
  EXPECT_EQ(run.errors, "/x: Read-only file system\n");
}

TEST_F(ContainerTest, BindsDirectoriesAndFilesWithOptions) {
  WriteFile("source/data", "from the host");
  WriteFile("source/sub/deep", "deep");
  const std::string source = absl::StrCat(bundle_, "/source");
  AddMount("/mnt/made/here", "bind", source, {"rbind", "ro", "nosuid"});
  AddMount("/etc/single", "bind", source + "/data", {"bind"});
  Outcome run = RunPayload({"cat", "/mnt/made/here/data", ";", "cat", "/etc/single", ";", "write",
                            "/mnt/made/here/data", "x", ";", "cat", "/mnt/made/here/sub/deep"});
  EXPECT_EQ(run.output, "from the hostfrom the hostdeep");
  EXPECT_EQ(run.errors, "/mnt/made/here/data: Read-only file system\n");
}

TEST_F(ContainerTest, FollowsLinksOfTheImageOnlyInsideTheRoot) {
  WriteFile("source/data", "mounted");
  ASSERT_EQ(::symlink("/run/deep/resolv.conf", Path("rootfs/etc/resolv.conf").c_str()), 0);
  ASSERT_EQ(::symlink("/", Path("rootfs/escape").c_str()), 0);
  ASSERT_EQ(::symlink("../../../../../../tmp", Path("rootfs/up").c_str()), 0);
  const std::string source = absl::StrCat(bundle_, "/source");
  AddMount("/etc/resolv.conf", "bind", source + "/data", {"bind"});
  AddMount("/escape/inside", "bind", source, {"bind"});
  AddMount("/up/there", "bind", source, {"bind"});
  const std::string before = HostFacts();
  Outcome run = RunPayload(
      {"cat", "/run/deep/resolv.conf", ";", "cat", "/inside/data", ";", "cat", "/tmp/there/data"});
  EXPECT_EQ(run.output, "mountedmountedmounted") << run.create << run.errors;
  EXPECT_EQ(HostFacts(), before);
  EXPECT_NE(::access("/inside", F_OK), 0);
  EXPECT_NE(::access("/tmp/there", F_OK), 0);
}

TEST_F(ContainerTest, RefusesAProcThatIsALink) {
  ASSERT_EQ(::rmdir(Path("rootfs/proc").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", Path("rootfs/proc").c_str()), 0);
  Outcome run = RunPayload({"true"});
  EXPECT_FALSE(run.create.ok());
  EXPECT_TRUE(absl::StrContains(run.create.message(), "symbolic link")) << run.create;
}

TEST_F(ContainerTest, CopiesUpIntoATmpfs) {
  WriteFile("rootfs/data/a/b", "below");
  ASSERT_EQ(::symlink("a/b", Path("rootfs/data/link").c_str()), 0);
  AddMount("/data", "tmpfs", "tmpfs", {"tmpcopyup", "mode=711"});
  Outcome run =
      RunPayload({"cat", "/data/link", ";", "write", "/data/a/b", "new", ";", "stat", "/data/a"});
  EXPECT_EQ(run.output, "belowdirectory mode=0755 uid=0 gid=0 size=60 dev=0:0\n") << run.errors;
  EXPECT_EQ(*ReadFile(Path("rootfs/data/a/b")), "below");
}

TEST_F(ContainerTest, ATmpfsWhereTheImageHasNothingIsEverybodys) {
  AddMount("/scratch", "tmpfs", "tmpfs", {"nosuid", "nodev", "tmpcopyup"});
  EXPECT_TRUE(absl::StrContains(RunPayload({"stat", "/scratch"}).output, "mode=1777"));
}

TEST_F(ContainerTest, NamesTheFaultOfAMount) {
  AddMount("/x", "tmpfs", "tmpfs", {"size=banana"});
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.create.code(), absl::StatusCode::kInvalidArgument) << run.create;
  EXPECT_TRUE(
      absl::StrContains(run.create.message(), "mount tmpfs on \"/x\", option \"size=banana\""))
      << run.create;
  AddMount("/y", "bind", "/no/such/place", {"bind"});
  run = RunPayload({"true"});
  EXPECT_TRUE(absl::StrContains(
      run.create.message(), "bind source \"/no/such/place\" for \"/y\": no such file or directory"))
      << run.create;
}

TEST_F(ContainerTest, LoadsSeccompFromTheCacheTheSecondTime) {
  spec_.linux_members = R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":
      ["SCMP_ARCH_X86_64"],"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO",
      "errnoRet":42}]},)";
  for (int i = 0; i < 2; ++i) {
    Outcome run = RunPayload({"try", "mkdir", ";", "status", "Seccomp:"});
    EXPECT_EQ(run.output, "mkdir: ENOMSG\nSeccomp:\t2\n") << run.create << run.start;
    EXPECT_EQ(ListDirectory(*OpenFile(Path("seccomp"), O_RDONLY | O_DIRECTORY))->size(), 1u);
  }
}

TEST_F(ContainerTest, SystemCallsBeyondTheProfileGetENOSYS) {
  spec_.linux_members = R"("seccomp":{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":[
      "read","write","close","execve","exit_group","brk","arch_prctl","set_tid_address","mprotect",
      "set_robust_list","rseq","prlimit64","readlink","readlinkat","getrandom","newfstatat","fstat",
      "uname","capset","sendmsg","mmap","munmap","openat","open","faccessat2"],"action":"SCMP_ACT_ALLOW"}]},)";
  Outcome run = RunPayload({"try", "unknown", ";", "try", "mkdir"});
  EXPECT_EQ(run.output, "unknown: ENOSYS\nmkdir: EPERM\n") << run.create << run.start;
}

TEST_F(ContainerTest, ABadSeccompProfileNamesItsPath) {
  spec_.linux_members =
      R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],
      "action":"SCMP_ACT_NONSENSE"}]},)";
  Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.create.message(),
            "$.linux.seccomp.syscalls[0].action: unknown action \"SCMP_ACT_NONSENSE\"");
}

TEST_F(ContainerTest, AllowsOnlyListedDevices) {
  spec_.capabilities =
      R"({"bounding":["CAP_MKNOD"],"permitted":["CAP_MKNOD"],"effective":["CAP_MKNOD"]})";
  spec_.linux_members = R"("resources":{"devices":[{"allow":false,"access":"rwm"}]},)";
  Outcome run = RunPayload({"try", "mknod-null", ";", "try", "open-mem", ";", "cat", "/dev/null"});
  EXPECT_EQ(run.output, "mknod-null: ok\nopen-mem: EPERM\n") << run.errors;
}

TEST_F(ContainerTest, UserNamespaceMapsIdsAndHidesTheHostsRoot) {
  spec_.namespaces.push_back("user");
  spec_.linux_members = R"("uidMappings":[{"containerID":0,"hostID":200000,"size":1000}],
      "gidMappings":[{"containerID":0,"hostID":300000,"size":1000}],)";
  WriteFile("source/data", "bound");
  AddMount("/bound", "bind", Path("source"), {"rbind"});
  ChownTree("rootfs", 200000, 300000);
  Outcome run =
      RunPayload({"ids", ";", "cat", "/proc/self/uid_map", ";", "stat", "/dev/null", ";", "cat",
                  "/bound/data", ";", "pid", ";", "net", ";", "write", "/made", "x"});
  EXPECT_TRUE(absl::StrContains(run.output, "uid=0/0/0 gid=0/0/0")) << run.output << run.create;
  EXPECT_TRUE(absl::StrContains(run.output, "200000")) << run.output;
  EXPECT_TRUE(absl::StrContains(run.output, "dev=1:3\nboundpid=1 ppid=0 sid=1\nlo up\n"))
      << run.output;
  struct stat info;
  ASSERT_EQ(::stat(Path("rootfs/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 200000u);
}

TEST_F(ContainerTest, ExecsIntoAUserNamespace) {
  spec_.namespaces.push_back("user");
  spec_.linux_members = R"("uidMappings":[{"containerID":0,"hostID":200000,"size":1000}],
      "gidMappings":[{"containerID":0,"hostID":300000,"size":1000}],)";
  ChownTree("rootfs", 200000, 300000);
  StartServing();
  Outcome exec = ExecPayload({"ids", ";", "pid"});
  EXPECT_TRUE(absl::StrContains(exec.output, "uid=0/0/0 gid=0/0/0")) << exec.output << exec.start;
  EXPECT_TRUE(absl::StrContains(exec.output, "pid=2")) << exec.output;
  StopServing();
}

TEST_F(ContainerTest, JoinsNamespacesByPath) {
  StartServing();
  const std::string proc = absl::StrCat("/proc/", container_->init_pid(), "/ns/");
  auto first = std::move(container_);
  const std::string first_id = id_;
  id_ += "-joined";
  spec_.joined = {{"network", proc + "net"}, {"pid", proc + "pid"}, {"ipc", proc + "ipc"}};
  Outcome run = RunPayload({"pid", ";", "readlink", "/proc/self/ns/net"});
  EXPECT_TRUE(absl::StartsWith(run.output, "pid=2 ppid=0")) << run.output << run.create;
  char link[64] = "";
  ASSERT_GT(::readlink((proc + "net").c_str(), link, sizeof(link) - 1), 0);
  EXPECT_TRUE(absl::StrContains(run.output, link)) << run.output;
  container_ = std::move(first);
  StopServing();
  EXPECT_EQ(Await([&](auto done) { container_->Cleanup(std::move(done)); }), absl::OkStatus());
  id_ = first_id;
  spec_.joined = {{"network", "/no/such/ns"}};
  run = RunPayload({"true"});
  EXPECT_TRUE(absl::StrContains(run.create.message(), "$.linux.namespaces[")) << run.create;
}

TEST_F(ContainerTest, IdMapsABindMount) {
  WriteFile("source/data", "x");
  AddMount("/mapped", "bind", Path("source"), {"bind", "idmap"},
           R"("uidMappings":[{"containerID":0,"hostID":1234,"size":10}],
              "gidMappings":[{"containerID":0,"hostID":4321,"size":10}],)");
  Outcome run = RunPayload({"stat", "/mapped/data"});
  // A tmpfs can be mapped since Linux 6.3; before, the error says so.
  struct statfs filesystem;
  ASSERT_EQ(::statfs(Path("source").c_str(), &filesystem), 0);
  if (!run.create.ok() && filesystem.f_type == TMPFS_MAGIC) {
    EXPECT_TRUE(absl::StrContains(run.create.message(), "cannot be id-mapped on this kernel"));
    GTEST_SKIP() << "this kernel does not map a tmpfs";
  }
  EXPECT_TRUE(absl::StrContains(run.output, "uid=1234 gid=4321")) << run.output << run.create;
}

TEST_F(ContainerTest, ShiftsTheClockOfATimeNamespace) {
  spec_.namespaces.push_back("time");
  spec_.linux_members = R"("timeOffsets":{"boottime":{"secs":1000000000}},)";
  Outcome run = RunPayload({"time"});
  EXPECT_TRUE(absl::StartsWith(run.output, "boottime=1000"))
      << run.output << run.create << run.start;
}

TEST_F(ContainerTest, WritesSysctlsOfItsNamespaces) {
  spec_.linux_members = R"("sysctl":{"net.ipv4.ip_forward":"1","kernel.shmmni":"77"},)";
  Outcome run =
      RunPayload({"cat", "/proc/sys/net/ipv4/ip_forward", ";", "cat", "/proc/sys/kernel/shmmni"});
  EXPECT_EQ(run.output, "1\n77\n") << run.create;
  EXPECT_NE(*ReadFile("/proc/sys/kernel/shmmni"), "77\n");
}

TEST_F(ContainerTest, ShowsCgroupsReadonlyInAPrivateNamespace) {
  if (HasV2Only()) GTEST_SKIP() << "no v1 controllers; LivesOnAPureV2Host has the v2 case";
  spec_.namespaces.push_back("cgroup");
  AddMount("/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"});
  Outcome run = RunPayload({"cat", "/proc/self/cgroup", ";", "ls", "/sys/fs/cgroup/memory", ";",
                            "write", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "1"});
  EXPECT_TRUE(absl::StrContains(run.output, ":memory:/\n")) << run.output << run.create;
  EXPECT_TRUE(absl::StrContains(run.output, "memory.limit_in_bytes\n"));
  EXPECT_TRUE(absl::StrContains(run.errors, "Read-only file system")) << run.errors;
}

TEST_F(ContainerTest, MountsAnOverlayOfManyLayersThatTheHostNeverSees) {
  std::vector<std::string> layers;
  for (int i = 0; i < 128; ++i) {
    // Absolute paths of all of them go far beyond the page that mount(2) takes.
    const std::string name = absl::StrCat("a-rather-long-name-for-the-layers/", i, "/fs");
    WriteFile(absl::StrCat(name, "/layer", i), absl::StrCat("layer ", i));
    layers.push_back(Path(name));
  }
  layers.push_back(Path("rootfs"));
  WriteFile("upper/x", "");
  WriteFile("work/x", "");
  ASSERT_EQ(::unlink(Path("work/x").c_str()), 0);
  ASSERT_EQ(::mkdir(Path("merged").c_str(), 0755), 0);
  spec_.root_path = "merged";
  rootfs_mounts_ = {
      {"overlay",
       "overlay",
       "",
       {absl::StrCat("workdir=", Path("work")), absl::StrCat("upperdir=", Path("upper")),
        absl::StrCat("lowerdir=", absl::StrJoin(layers, ":"))}}};
  const std::string before = *ReadFile("/proc/self/mountinfo");
  const absl::Status created =
      CreateContainer({"cat", "/layer0", ";", "cat", "/layer127", ";", "write", "/new", "upper"});
  EXPECT_EQ(*ReadFile("/proc/self/mountinfo"), before);
  if (absl::StrContains(created.message(), "which needs Linux 6.7")) {
    container_.reset();
    GTEST_SKIP() << "this kernel takes no more than a page of layers";
  }
  ASSERT_EQ(created, absl::OkStatus());
  Outcome run = FinishContainer();
  EXPECT_EQ(run.output, "layer 0layer 127") << run.start;
  EXPECT_EQ(*ReadFile(Path("upper/new")), "upper");
}

// On a host whose "/" is shared, as systemd makes it, detaching the old root must not reach the
// host.
TEST_F(ContainerTest, ASharedRootKeepsAllItsMounts) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_SHARED | MS_REC, nullptr) != 0) {
      ::_exit(2);
    }
    const std::string before = *ReadFile("/proc/self/mountinfo");
    Outcome run = RunPayload({"true"});
    const std::string after = *ReadFile("/proc/self/mountinfo");
    if (before != after) ::write(2, after.data(), after.size());
    ::_exit(run.exit_code != 0 ? 3 : before == after ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ContainerTest, HandsTheSeccompListenerToItsAgent) {
  const std::string agent_path = Path("agent.sock");
  auto agent = ListenUnix(agent_path, 0600, 1);
  ASSERT_TRUE(agent.ok()) << agent.status();
  spec_.linux_members = absl::StrCat(
      R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":")", agent_path,
      R"(","listenerMetadata":"told","syscalls":[{"names":["sethostname"],"action":"SCMP_ACT_NOTIFY"}]},)");
  Outcome run = RunPayload({"echo", "filtered"});
  EXPECT_EQ(run.output, "filtered\n") << run.create << run.start;
  const UniqueFd connection(::accept4(agent->get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(connection.valid());
  char text[4096] = "";
  ASSERT_GT(::read(connection.get(), text, sizeof(text) - 1), 0);
  EXPECT_TRUE(absl::StrContains(text, R"("fds":["seccompFd"])")) << text;
  EXPECT_TRUE(absl::StrContains(text, R"("metadata":"told")")) << text;
  EXPECT_TRUE(absl::StrContains(text, absl::StrCat(R"("id":")", id_, "\""))) << text;
  // Without an agent the program would wait for ever at its first such call.
  spec_.linux_members = R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
      {"names":["sethostname"],"action":"SCMP_ACT_NOTIFY"}]},)";
  run = RunPayload({"true"});
  EXPECT_TRUE(absl::StrContains(run.start.message(), "listenerPath")) << run.start;
}

// A host with cgroup v2 only, as far as this one can show it: the v2 tree where all hierarchies
// were.
TEST_F(ContainerTest, LivesOnAPureV2Host) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0 ||
        (!HasV2Only() && ::mount("none", "/sys/fs/cgroup", "cgroup2", 0, nullptr) != 0)) {
      ::_exit(2);
    }
    loop_ = *Loop::Create();  // an epoll set is not to be shared
    spec_.namespaces.push_back("cgroup");
    spec_.linux_members = R"("resources":{"devices":[{"allow":false,"access":"rwm"}]},)";
    AddMount("/sys/fs/cgroup", "cgroup", "cgroup", {"ro"});
    StartServing({"brood", "2"});
    EXPECT_EQ(container_->cgroup_paths().size(), 1u);
    Outcome exec = ExecPayload({"cat", "/proc/self/cgroup", ";", "ls", "/sys/fs/cgroup"});
    EXPECT_TRUE(absl::StrContains(exec.output, "0::/\n")) << exec.output << exec.start;
    EXPECT_TRUE(absl::StrContains(exec.output, "cgroup.freeze\n")) << exec.output;
    EXPECT_EQ(Await([&](Container::Done done) { container_->Pause(std::move(done)); }),
              absl::OkStatus());
    EXPECT_EQ(Await([&](Container::Done done) { container_->Resume(std::move(done)); }),
              absl::OkStatus());
    EXPECT_EQ(container_->Pids()->size(), 3u);
    EXPECT_EQ(container_->Stats()->type_url, "io.containerd.cgroups.v2.Metrics");
    EXPECT_EQ(container_->Kill(SIGKILL, KillScope::kAll), absl::OkStatus());
    EXPECT_EQ(WaitForExit(container_->init_pidfd()), 128 + SIGKILL);
    EXPECT_EQ(Await([&](Container::Done done) { container_->Cleanup(std::move(done)); }),
              absl::OkStatus());
    ::_exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// The classes of published runtime escapes, each tried by an image or a specification.

TEST_F(ContainerTest, ADevThatIsALinkReachesNothingOutside) {
  ASSERT_EQ(::rmdir(Path("rootfs/dev").c_str()), 0);
  WriteFile("outside/keep", "untouched");
  ASSERT_EQ(::symlink(Path("outside").c_str(), Path("rootfs/dev").c_str()), 0);
  spec_.linux_members = R"("devices":[{"path":"/dev/x","type":"c","major":1,"minor":3}],)";
  RunPayload({"true"});
  auto outside = OpenFile(Path("outside"), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(*ListDirectory(*outside), std::vector<std::string>{"keep"});
}

TEST_F(ContainerTest, AWorkingDirectoryByDescriptorStaysInside) {
  for (int fd = 3; fd < 16; ++fd) {
    spec_.cwd = absl::StrCat("/proc/self/fd/", fd);
    Outcome run = RunPayload({"cwd"});
    // A descriptor of the container's own root may be there; any other is none of its business.
    if (run.create.ok()) {
      EXPECT_EQ(run.output, "/\n") << fd;
    }
  }
}

TEST_F(ContainerTest, MasksDoNotTrustTheImagesNull) {
  // Without a /dev mount the image's own files are what is there.
  spec_.mounts.erase(spec_.mounts.begin() + 1, spec_.mounts.begin() + 5);
  ASSERT_EQ(::symlink("/proc/sys/kernel/core_pattern", Path("rootfs/dev/null").c_str()), 0);
  WriteFile("rootfs/secret", "hidden");
  spec_.linux_members = R"("maskedPaths":["/secret"],)";
  Outcome run = RunPayload({"stat", "/secret", ";", "stat", "/dev/null"});
  EXPECT_EQ(
      run.output,
      "char mode=0666 uid=0 gid=0 size=0 dev=1:3\nchar mode=0666 uid=0 gid=0 size=0 dev=1:3\n")
      << run.create;
}

TEST_F(ContainerTest, AConsoleThatIsALinkIsRefused) {
  spec_.mounts.erase(spec_.mounts.begin() + 1);  // no tmpfs on /dev
  WriteFile("outside/file", "untouched");
  ASSERT_EQ(::symlink(Path("outside/file").c_str(), Path("rootfs/dev/console").c_str()), 0);
  spec_.process_members = R"("terminal":true,)";
  Outcome run = RunPayload({"tty"});
  EXPECT_EQ(*ReadFile(Path("outside/file")), "untouched");
  EXPECT_TRUE(run.create.ok() ? absl::StrContains(run.output, "/dev/pts/0") : true) << run.output;
}

TEST_F(ContainerTest, NoDescriptorOfTheHostIsReachableWhileWaitingToStart) {
  ASSERT_EQ(CreateContainer({"true"}), absl::OkStatus());
  const std::string proc = absl::StrCat("/proc/", container_->init_pid(), "/fd");
  // It closes its root a moment after it has handed it over.
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  std::string foreign = "not looked yet";
  while (!foreign.empty() && absl::Now() < deadline) {
    foreign.clear();
    auto directory = OpenFile(proc, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(directory.ok());
    auto names = ListDirectory(*directory);
    ASSERT_TRUE(names.ok());
    for (const std::string& fd : *names) {
      char target[256] = "";
      if (::readlink(absl::StrCat(proc, "/", fd).c_str(), target, sizeof(target) - 1) < 0) continue;
      const std::string text(target);
      if (text != "/dev/null" && !absl::StartsWith(text, "pipe:") &&
          !absl::StartsWith(text, "socket:")) {
        absl::StrAppend(&foreign, fd, " ", text, "\n");
      }
    }
  }
  EXPECT_EQ(foreign, "");
  FinishContainer();
}

}  // namespace
}  // namespace berth::launch
