// The parts of berth-worker that need no daemon: what mounts mean, and the confinement.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "gtest/gtest.h"
#include "server/worker/confinement.h"
#include "server/worker/mount_plan.h"
#include "server/worker/store_directory.h"
#include "server/worker/syscall_filter.h"

namespace berth::worker {
namespace {

using Layers = std::vector<std::string>;

MountSpec Overlay(std::vector<std::string> options) {
  return {"overlay", "overlay", "", std::move(options)};
}

MountPlan Plan(const std::vector<MountSpec>& mounts) {
  const auto plan = PlanMounts(mounts);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : MountPlan();
}

TEST(MountPlanTest, OverlaysAreTheirLayersFromTheTop) {
  const MountPlan plan =
      Plan({Overlay({"index=off", "workdir=/w", "upperdir=/u", "lowerdir=/a:/b\\:c:/d"})});
  EXPECT_EQ(plan.layers, (Layers{"/u", "/a", "/b:c", "/d"}));
  EXPECT_EQ(plan.access, MountPlan::Access::kWritable);
  EXPECT_EQ(plan.marks, MountPlan::Marks::kTrusted);
  EXPECT_EQ(Plan({Overlay({"lowerdir=/a:/b", "userxattr"})}).access, MountPlan::Access::kReadOnly);
  EXPECT_EQ(Plan({Overlay({"lowerdir=/a:/b", "userxattr"})}).marks, MountPlan::Marks::kUser);
  EXPECT_EQ(Plan({Overlay({"lowerdir+=/a:b", "lowerdir+=/c"})}).layers, (Layers{"/a:b", "/c"}));
  EXPECT_FALSE(PlanMounts({{Overlay({"upperdir=/u"})}}).ok());
}

TEST(MountPlanTest, BindsAreTheirDirectory) {
  EXPECT_EQ(Plan({{"bind", "/a", "", {"ro", "rbind"}}}).access, MountPlan::Access::kReadOnly);
  EXPECT_EQ(Plan({{"none", "/a", "", {"rbind"}}}).layers, Layers{"/a"});
  EXPECT_FALSE(PlanMounts({{{"bind", "", "", {}}}}).ok());
  EXPECT_EQ(Plan({{"ext4", "/dev/x", "", {}}}).kind, MountPlan::Kind::kOther);
  EXPECT_EQ(Plan({}).kind, MountPlan::Kind::kEmpty);
  EXPECT_EQ(PlanMounts({{{"bind", "/a", "", {}}, {"bind", "/b", "sub", {}}}}).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(MountPlanTest, OneLayerAboveIsRecognised) {
  const MountPlan bind = Plan({{"bind", "/a", "", {"ro"}}});
  const MountPlan active = Plan({Overlay({"upperdir=/u", "lowerdir=/a"})});
  const MountPlan view = Plan({Overlay({"lowerdir=/x:/u:/a"})});
  EXPECT_TRUE(IsOneLayerAbove(bind, active));
  EXPECT_TRUE(IsOneLayerAbove(active, view));
  EXPECT_TRUE(IsOneLayerAbove(Plan({}), bind));
  EXPECT_FALSE(IsOneLayerAbove(bind, view));
  EXPECT_FALSE(IsOneLayerAbove(bind, bind));
  EXPECT_FALSE(IsOneLayerAbove(bind, Plan({Overlay({"upperdir=/u", "lowerdir=/b"})})));
  EXPECT_FALSE(IsOneLayerAbove(Plan({}), Plan({{"ext4", "/dev/x", "", {}}})));
}

TEST(StoreDirectoryTest, UploadsAreNamesAndNoPaths) {
  const std::string root = testing::TempDir() + "/store";
  ::mkdir(root.c_str(), 0700);
  ::mkdir((root + "/ingest").c_str(), 0700);
  const StoreDirectory store(*OpenFile(root, O_RDONLY | O_DIRECTORY));
  for (const char* name : {"", "../x", "a/b", ".", ".."}) {
    EXPECT_EQ(store.OpenUpload(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(store.OpenUpload("missing").status().code(), absl::StatusCode::kNotFound);
}

TEST(ConfineTest, OnlyTheGivenDirectoriesCanBeReached) {
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) < 1) {
    GTEST_SKIP() << "this kernel has no Landlock";
  }
  const std::string root = testing::TempDir() + "/confine";
  for (const char* name : {"", "/writable", "/readable", "/other"}) {
    ::mkdir((root + name).c_str(), 0700);
  }
  ASSERT_TRUE(OpenFile(root + "/readable/file", O_CREAT | O_RDWR, 0600).ok());
  std::thread([&] {
    const UniqueFd writable = *OpenFile(root + "/writable", O_RDONLY | O_DIRECTORY);
    const UniqueFd readable = *OpenFile(root + "/readable", O_RDONLY | O_DIRECTORY);
    const UniqueFd other = *OpenFile(root + "/other", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(Confine({{readable}, {writable}}).ok());
    EXPECT_TRUE(OpenAt(writable, "new", O_CREAT | O_RDWR, 0600).ok());
    EXPECT_EQ(::mknodat(writable.get(), "node", S_IFCHR, 0), 0);
    ::mkdirat(writable.get(), "sub", 0700);
    EXPECT_EQ(::linkat(writable.get(), "new", writable.get(), "sub/link", 0), 0);
    EXPECT_TRUE(OpenAt(readable, "file", O_RDONLY).ok());
    EXPECT_FALSE(OpenAt(readable, "file", O_RDWR).ok());
    EXPECT_FALSE(OpenAt(other, "new", O_CREAT | O_RDWR, 0600).ok());
    EXPECT_FALSE(OpenFile("/etc/passwd", O_RDONLY).ok());
    EXPECT_EQ(::linkat(readable.get(), "file", writable.get(), "stolen", 0), -1);
  }).join();
  EXPECT_TRUE(OpenFile("/etc/passwd", O_RDONLY).ok());  // other threads are as before
}

// What a thread can still do, tried on one that is thrown away afterwards.
struct Tried {
  int socket = 0;
  int accept = 0;
  int unshare = 0;
  int execve = 0;
  int fork = 0;
  bool thread_ran = false;
};
Tried TryFiltered(Sockets sockets) {
  Tried tried;
  std::thread([&] {
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_TRUE(FilterSyscalls(sockets).ok());
    const auto error_of = [](long result) { return result < 0 ? errno : 0; };
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tried.socket = error_of(fd);
    if (fd >= 0) ::close(fd);
    tried.accept = error_of(::accept4(-1, nullptr, nullptr, SOCK_CLOEXEC));
    tried.unshare = error_of(::unshare(CLONE_NEWNS));
    char* const arguments[] = {nullptr};
    tried.execve = error_of(::execve("/bin/true", arguments, arguments));
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    tried.fork = error_of(child);
    std::thread([&] { tried.thread_ran = true; }).join();
  }).join();
  return tried;
}

TEST(SyscallFilterTest, ProgramsAndNamespacesAreOutOfReach) {
  for (const Sockets sockets : {Sockets::kForbidden, Sockets::kAccepted, Sockets::kAllowed}) {
    const Tried tried = TryFiltered(sockets);
    EXPECT_EQ(tried.socket, sockets == Sockets::kAllowed ? 0 : EPERM);
    EXPECT_EQ(tried.accept, sockets == Sockets::kForbidden ? EPERM : EBADF);
    EXPECT_EQ(tried.unshare, EPERM);
    EXPECT_EQ(tried.execve, EPERM);
    EXPECT_EQ(tried.fork, EPERM);
    EXPECT_TRUE(tried.thread_ran);
  }
}

}  // namespace
}  // namespace berth::worker
