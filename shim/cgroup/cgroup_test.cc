#include "shim/cgroup/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "shim/cgroup/device_filter.h"
#include "shim/cgroup/hierarchy.h"
#include "shim/cgroup/limits.h"

namespace berth::cgroup {
namespace {

TEST(HierarchyTest, CleanedPathsCannotLeaveTheirRoot) {
  EXPECT_EQ(CleanPath("/a//b/./c/"), "/a/b/c");
  EXPECT_EQ(CleanPath("../../a/../../b"), "/b");
  EXPECT_EQ(CleanPath(""), "/");
}

TEST(HierarchyTest, PlacesAbsoluteRelativeAndEmptyPaths) {
  Hierarchy v1;
  v1.mount_point = "/sys/fs/cgroup/memory";
  v1.own_path = "/user/shell";
  EXPECT_EQ(ContainerDirectory(v1, "/docker/x", "id"), "/sys/fs/cgroup/memory/docker/x");
  EXPECT_EQ(ContainerDirectory(v1, "x/y", "id"), "/sys/fs/cgroup/memory/user/shell/x/y");
  EXPECT_EQ(ContainerDirectory(v1, "", "id"), "/sys/fs/cgroup/memory/user/shell/id");
  EXPECT_EQ(ContainerDirectory(v1, "../../../etc", "id"), "/sys/fs/cgroup/memory/user/shell/etc");
  Hierarchy v2 = v1;
  v2.unified = true;
  EXPECT_EQ(ContainerDirectory(v2, "", "id"), "/sys/fs/cgroup/memory/user/id");
}

TEST(HierarchyTest, RefusesAHostWithoutAny) {
  EXPECT_EQ(FindHierarchies("1:memory:/\n", "/nowhere").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(LimitsTest, SharesBecomeWeightsThroughBothDefaultsAndEnds) {
  EXPECT_EQ(SharesToWeight(2), 1u);
  EXPECT_EQ(SharesToWeight(1024), 100u);
  EXPECT_EQ(SharesToWeight(262144), 10000u);
  EXPECT_EQ(SharesToWeight(0), 0u);
  EXPECT_LT(SharesToWeight(512), SharesToWeight(513) + 1);
}

TEST(DeviceFilterTest, WritesRulesAsV1ReadsThem) {
  spec::DeviceRule rule;
  rule.type = 'c';
  rule.major = 10;
  rule.read = rule.write = true;
  EXPECT_EQ(DeviceRuleText(rule), "c 10:* rw");
}

// The kernel's own verdict on the compiled program, for a process in the group.
class DeviceFilterKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto hierarchies = FindHierarchies();
    ASSERT_TRUE(hierarchies.ok()) << hierarchies.status();
    for (const Hierarchy& hierarchy : *hierarchies) {
      if (hierarchy.unified)
        path_ = absl::StrCat(hierarchy.mount_point, "/runtime-filter-", ::getpid());
    }
    if (path_.empty()) GTEST_SKIP() << "no cgroup2 here";
    ASSERT_EQ(::mkdir(path_.c_str(), 0755), 0);
    directory_ = *OpenFile(path_, O_PATH | O_DIRECTORY);
  }
  void TearDown() override {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }

  // Opens a node of its own for the device inside the group: 0 or an errno.
  int OpenInGroup(unsigned major, unsigned minor, int flags) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (!WriteControlFileAt(directory_, "cgroup.procs", "0").ok()) ::_exit(200);
      const std::string node = absl::StrCat("/tmp/runtime-node-", ::getpid());
      if (::mknod(node.c_str(), S_IFCHR | 0600, ::makedev(major, minor)) != 0) ::_exit(errno);
      const int result = OpenFile(node, flags).ok() ? 0 : errno;
      ::unlink(node.c_str());
      ::_exit(result);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }

  std::string path_;
  UniqueFd directory_;
};

TEST_F(DeviceFilterKernelTest, TheLastRuleThatSpeaksDecides) {
  spec::DeviceRule none;
  none.read = none.write = none.mknod = true;
  spec::DeviceRule read_kmsg;
  read_kmsg.allow = true;
  read_kmsg.type = 'c';
  read_kmsg.major = 1;
  read_kmsg.minor = 11;
  read_kmsg.read = true;
  ASSERT_EQ(AttachDeviceFilter(directory_, {none, read_kmsg}), absl::OkStatus());
  EXPECT_EQ(OpenInGroup(1, 3, O_RDWR), 0);        // null, by default
  EXPECT_EQ(OpenInGroup(1, 11, O_RDONLY), 0);     // kmsg, as listed
  EXPECT_EQ(OpenInGroup(1, 11, O_RDWR), EPERM);   // more than listed
  EXPECT_EQ(OpenInGroup(1, 1, O_RDONLY), EPERM);  // mem
  // An update replaces the filter.
  spec::DeviceRule all = none;
  all.allow = true;
  ASSERT_EQ(AttachDeviceFilter(directory_, {all}), absl::OkStatus());
  EXPECT_EQ(OpenInGroup(1, 11, O_RDWR), 0);
}

TEST(CgroupTest, RefusesAGroupThatIsInUse) {
  auto hierarchies = FindHierarchies();
  ASSERT_TRUE(hierarchies.ok());
  const std::string name = absl::StrCat("/runtime-busy-", ::getpid());
  auto group = Cgroup::Create(*hierarchies, name, "x");
  ASSERT_TRUE(group.ok()) << group.status();
  const pid_t child = ::fork();
  if (child == 0) {
    while (true) ::pause();
  }
  ASSERT_EQ(group->AddProcess(child, Cgroup::Placement::kEverywhere), absl::OkStatus());
  auto second = Cgroup::Create(*hierarchies, name, "x");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_EQ(group->Remove().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*group->Pids(), std::vector<pid_t>{child});
  EXPECT_EQ(group->SignalAll(SIGKILL), absl::OkStatus());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  // Nested groups go as well.
  ASSERT_EQ(::mkdir(absl::StrCat(group->paths().front(), "/below").c_str(), 0755), 0);
  EXPECT_EQ(group->Remove(), absl::OkStatus());
  EXPECT_TRUE(group->empty());
}

TEST(CgroupTest, RefusesAGroupThatIsFrozen) {
  auto hierarchies = FindHierarchies();
  ASSERT_TRUE(hierarchies.ok());
  const std::string name = absl::StrCat("/runtime-frozen-", ::getpid());
  auto group = Cgroup::Create(*hierarchies, name, "x");
  ASSERT_TRUE(group.ok()) << group.status();
  ASSERT_EQ(group->SetFrozen(FreezerState::kFrozen), absl::OkStatus());
  auto second = Cgroup::Create(*hierarchies, name, "x");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  ASSERT_EQ(group->SetFrozen(FreezerState::kThawed), absl::OkStatus());
  EXPECT_TRUE(Cgroup::Create(*hierarchies, name, "x").ok());
  EXPECT_EQ(group->Remove(), absl::OkStatus());
}

// A group whose parents are there is made in one step, one whose parents are not level by level;
// both can hold processes.
TEST(CgroupTest, IsReadyForProcessesAtAnyDepth) {
  auto hierarchies = FindHierarchies();
  ASSERT_TRUE(hierarchies.ok());
  const std::string top = absl::StrCat("/runtime-deep-", ::getpid());
  for (const char* below : {"/a/b", "/a/c"}) {
    auto group = Cgroup::Create(*hierarchies, top + below, "x");
    ASSERT_TRUE(group.ok()) << group.status();
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) ::pause();
    }
    EXPECT_EQ(group->AddProcess(child, Cgroup::Placement::kEverywhere), absl::OkStatus());
    for (const std::string& path : group->paths()) {
      EXPECT_EQ(*ReadFile(path + "/cgroup.procs"), absl::StrCat(child, "\n")) << path;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(group->Remove(), absl::OkStatus());
  }
  for (const Hierarchy& hierarchy : *hierarchies) {
    ::rmdir(absl::StrCat(hierarchy.mount_point, top, "/a").c_str());
    ::rmdir(absl::StrCat(hierarchy.mount_point, top).c_str());
  }
}

// Version 1 only: a process is born into its group of version 2.
TEST(CgroupTest, AProcessMovesItselfThroughTheJoinFiles) {
  auto hierarchies = FindHierarchies();
  ASSERT_TRUE(hierarchies.ok());
  auto group = Cgroup::Create(*hierarchies, absl::StrCat("/runtime-join-", ::getpid()), "x");
  ASSERT_TRUE(group.ok()) << group.status();
  auto files = group->OpenJoinFiles();
  ASSERT_TRUE(files.ok()) << files.status();
  const pid_t child = ::fork();
  if (child == 0) {
    for (const UniqueFd& file : *files) {
      if (::write(file.get(), "0", 1) != 1) ::_exit(1);
    }
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  EXPECT_TRUE(WIFSTOPPED(status)) << status;
  size_t joined = 0;
  for (const Directory& directory : group->directories()) {
    const auto processes = ReadFile(directory.path + "/cgroup.procs");
    ASSERT_TRUE(processes.ok()) << processes.status();
    EXPECT_EQ(*processes, directory.unified ? "" : absl::StrCat(child, "\n")) << directory.path;
    joined += directory.unified ? 0 : 1;
  }
  EXPECT_EQ(joined, files->size());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(group->Remove(), absl::OkStatus());
}

}  // namespace
}  // namespace berth::cgroup
