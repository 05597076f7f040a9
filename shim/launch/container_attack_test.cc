// The classes of published runtime escapes that need more than a hostile image: somebody who swaps
// what is looked up while a container is set up, and forged files where the runtime writes.
//
// container_isolation_test.cc has the images that stand still, runtime_cli_test.cc the attacks on
// the runtime's own program.

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "shim/launch/container_fixture.h"

namespace berth::launch {
namespace {

using absl::StrContains;

constexpr int kTurns = 12;

class AttackTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    WriteFile("outside/keep", "untouched");
    WriteFile("outside/sub/keep", "untouched");
  }
  void TearDown() override {
    StopSwapping();
    ContainerTest::TearDown();
  }

  // A process, as another container that shares the image would be, that exchanges two names as
  // fast as it can.
  void StartSwapping(const std::string& first, const std::string& second) {
    const std::string a = Path(first);
    const std::string b = Path(second);
    ASSERT_EQ(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE), 0);
    swapper_ = ::fork();
    ASSERT_GE(swapper_, 0);
    if (swapper_ > 0) return;
    while (true) ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  }
  void StopSwapping() {
    if (swapper_ <= 0) return;
    ::kill(swapper_, SIGKILL);
    ::waitpid(swapper_, nullptr, 0);
    swapper_ = -1;
  }

  // Everything below the directory that no container may reach, with sizes and types.
  std::string Outside() {
    std::string text;
    for (const char* folder : {"outside", "outside/sub"}) {
      auto directory = OpenFile(Path(folder), O_RDONLY | O_DIRECTORY);
      auto names = ListDirectory(*directory);
      std::sort(names->begin(), names->end());
      for (const std::string& name : *names) {
        struct stat info = {};
        ::fstatat(directory->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW);
        absl::StrAppend(&text, folder, "/", name, " ", info.st_mode, " ", info.st_rdev, " ",
                        S_ISDIR(info.st_mode) ? 0 : info.st_size, "\n");
      }
    }
    return text;
  }

  // Creates and runs containers while the swapper is at work. Some may fail, none may reach out.
  void RunMany(const std::vector<std::string>& args) {
    const std::string outside = Outside();
    const std::string before = HostMounts();
    int ran = 0;
    int refused = 0;
    for (int i = 0; i < kTurns; ++i) {
      const Outcome run = RunPayload(args);
      ++(run.create.ok() ? ran : refused);
      // What is mounted where the payload looks is what the specification says, or nothing ran.
      if (run.create.ok() && !wanted_.empty()) {
        EXPECT_EQ(run.output, wanted_) << run.errors;
      }
      ASSERT_EQ(Outside(), outside);
      ASSERT_EQ(HostMounts(), before);
    }
    RecordProperty("ran", ran);
    RecordProperty("refused", refused);
  }
  static std::string HostMounts() { return *ReadFile("/proc/self/mountinfo"); }

  std::string wanted_;
  pid_t swapper_ = -1;
};

// CVE-2021-30465, CVE-2024-45310: a mount's target becomes a link out of the root between two looks
// at it; directories and files are made on the way to it.
TEST_F(AttackTest, MountTargetsThatBecomeLinksLeadNowhere) {
  WriteFile("source/data", "of the volume");
  ASSERT_TRUE(EnsureDirectory(Path("rootfs/mnt"), 0755).ok());
  ASSERT_EQ(::symlink(Path("outside").c_str(), Path("rootfs/link").c_str()), 0);
  AddMount("/mnt/sub/made/here", "bind", Path("source"), {"bind"});
  AddMount("/mnt/file", "bind", Path("source/data"), {"bind"});
  AddMount("/mnt/tmp", "tmpfs", "tmpfs", {"tmpcopyup"});
  spec_.linux_members = R"("devices":[{"path":"/mnt/node","type":"c","major":1,"minor":3}],)";
  StartSwapping("rootfs/mnt", "rootfs/link");
  RunMany({"true"});
}

// CVE-2026-41579, CVE-2026-47766: /dev turns into a link while nodes and links are made in it.
TEST_F(AttackTest, ADevThatTurnsIntoALinkLeadsNowhere) {
  spec_.mounts.erase(spec_.mounts.begin() + 1, spec_.mounts.begin() + 5);  // the image's own /dev
  ASSERT_EQ(::symlink(Path("outside").c_str(), Path("rootfs/link").c_str()), 0);
  spec_.linux_members = R"("devices":[{"path":"/dev/x","type":"c","major":1,"minor":3}],)";
  StartSwapping("rootfs/dev", "rootfs/link");
  RunMany({"true"});
}

// CVE-2025-52565: the place of the console becomes a link while the terminal is bound there.
TEST_F(AttackTest, AConsoleThatTurnsIntoALinkLeadsNowhere) {
  AddMount("/image", "bind", Path("rootfs"), {"bind"});
  spec_.mounts.erase(spec_.mounts.begin() + 1);  // no tmpfs on /dev
  ASSERT_TRUE(EnsureDirectory(Path("rootfs/dev/pts"), 0755).ok());
  WriteFile("rootfs/dev/console", "");
  ASSERT_EQ(::symlink(Path("outside/keep").c_str(), Path("rootfs/dev/other").c_str()), 0);
  spec_.process_members = R"("terminal":true,)";
  StartSwapping("rootfs/dev/console", "rootfs/dev/other");
  RunMany({"true"});
  EXPECT_EQ(*ReadFile(Path("outside/keep")), "untouched");
}

// CVE-2025-31133: what a masked path is covered with is not looked up in the image, and what is
// covered is inside of it.
TEST_F(AttackTest, MaskedPathsThatTurnIntoLinksCoverNothingOutside) {
  spec_.mounts.erase(spec_.mounts.begin() + 1, spec_.mounts.begin() + 5);
  WriteFile("rootfs/secret", "hidden");
  ASSERT_EQ(::symlink(Path("outside/keep").c_str(), Path("rootfs/other").c_str()), 0);
  WriteFile("rootfs/dev/null", "");
  ASSERT_EQ(::symlink("/proc/sys/kernel/core_pattern", Path("rootfs/dev/zero2").c_str()), 0);
  spec_.linux_members = R"("maskedPaths":["/secret","/proc/cpuinfo"],"readonlyPaths":["/other"],)";
  StartSwapping("rootfs/secret", "rootfs/other");
  RunMany({"true"});
  StopSwapping();
  StartSwapping("rootfs/dev/null", "rootfs/dev/zero2");
  wanted_ = "char mode=0666 uid=0 gid=0 size=0 dev=1:3\n";
  spec_.linux_members = R"("maskedPaths":["/proc/cpuinfo"],)";
  RunMany({"stat", "/proc/cpuinfo"});
}

// CVE-2025-52881: a forged /proc, in which what the runtime writes would go elsewhere.
TEST_F(AttackTest, SysctlsAreWrittenToTheRealProcOnly) {
  WriteFile("forged/sys/net/ipv4/ip_forward", "untouched");
  WriteFile("forged/self/attr/exec", "untouched");
  WriteFile("forged/self/oom_score_adj", "untouched");
  ASSERT_EQ(::symlink("/forged", Path("rootfs/unused").c_str()), 0);
  spec_.mounts.erase(spec_.mounts.begin());
  AddMount("/proc", "bind", Path("forged"), {"bind"});
  AddMount("/real", "proc", "proc", {});
  spec_.linux_members = R"("sysctl":{"net.ipv4.ip_forward":"1"},)";
  spec_.process_members = R"("oomScoreAdj":300,)";
  const Outcome run =
      RunPayload({"cat", "/real/sys/net/ipv4/ip_forward", ";", "cat", "/real/self/oom_score_adj"});
  EXPECT_EQ(run.output, "1\n300\n") << run.create << run.errors;
  for (const char* file : {"sys/net/ipv4/ip_forward", "self/attr/exec", "self/oom_score_adj"}) {
    EXPECT_EQ(*ReadFile(Path(absl::StrCat("forged/", file))), "untouched") << file;
  }
}

// The same for an exec, which comes when the image has had all the time that it wants.
TEST_F(AttackTest, ExecsDoNotTrustTheContainersProc) {
  WriteFile("forged/self/attr/exec", "untouched");
  WriteFile("forged/self/oom_score_adj", "untouched");
  spec_.mounts.erase(spec_.mounts.begin());
  AddMount("/proc", "bind", Path("forged"), {"bind"});
  AddMount("/real", "proc", "proc", {});
  StartServing();
  const Outcome run = ExecPayload({"cat", "/real/self/oom_score_adj"}, "/bin/payload",
                                  R"("oomScoreAdj":400,"user":{"uid":7,"gid":7},)");
  EXPECT_EQ(run.output, "400\n") << run.start;
  EXPECT_EQ(*ReadFile(Path("forged/self/oom_score_adj")), "untouched");
  StopServing();
}

// CVE-2016-9962, CVE-2024-21626: what an exec holds while it is set up is neither to be looked at
// nor a way out.
TEST_F(AttackTest, AnExecsDescriptorsAndDirectoryStayInside) {
  StartServing();
  Outcome run = ExecPayload({"fds"});
  EXPECT_FALSE(StrContains(run.output, "\n3 ")) << run.output;
  for (int fd = 3; fd < 16; ++fd) {
    const std::string cwd = absl::StrCat("/proc/self/fd/", fd);
    run = ExecPayload({"cwd", ";", "ls", ".."}, "/bin/payload", "", cwd);
    if (run.start.ok()) {
      EXPECT_TRUE(absl::StartsWith(run.output, "/\n")) << fd << run.output;
      EXPECT_FALSE(StrContains(run.output, "boot\n")) << fd << run.output;
    }
  }
  StopServing();
}

// CVE-2019-16884, CVE-2023-28642: /proc as a link to somewhere, or one that becomes it.
TEST_F(AttackTest, AProcThatTurnsIntoALinkIsNotFollowed) {
  ASSERT_TRUE(EnsureDirectory(Path("rootfs/elsewhere"), 0755).ok());
  ASSERT_EQ(::symlink("/elsewhere", Path("rootfs/link").c_str()), 0);
  StartSwapping("rootfs/proc", "rootfs/link");
  for (int i = 0; i < kTurns; ++i) {
    // From the real one: /proc may not be where the payload looks for it.
    const absl::Status created = CreateContainer({"true"});
    if (!created.ok()) {
      container_.reset();
      continue;
    }
    const std::string mounts =
        *ReadFile(absl::StrCat("/proc/", container_->init_pid(), "/mountinfo"));
    EXPECT_FALSE(StrContains(mounts, " /elsewhere ")) << mounts;
    FinishContainer();
  }
}

}  // namespace
}  // namespace berth::launch
