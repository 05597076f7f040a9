#include "shim/cgroup/intel_rdt.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"

namespace berth::cgroup {
namespace {

// A directory that looks like resctrl as far as names go; what the kernel would fill in, Populate
// does.
class IntelRdtTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/runtime-rdt-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    root_ = path;
    Populate(root_);
    ASSERT_TRUE(EnsureDirectory(root_ + "/info", 0755).ok());
    Write(root_ + "/info/last_cmd_status", "ok\n");
  }
  void TearDown() override {
    auto parent = OpenFile("/tmp", O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(RemoveTreeAt(*parent, root_.substr(5)).ok());
  }
  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, text, 0644, Durability::kUnsynced).ok());
  }
  void Populate(const std::string& group) {
    ASSERT_TRUE(EnsureDirectory(group + "/mon_groups", 0755).ok());
    Write(group + "/tasks", "");
    Write(group + "/schemata", "    L3:0=00f;1=7ff\n    MB:0= 20;1=100\n");
  }
  // The kernel takes a group's files away with it.
  void Empty(const std::string& group) {
    for (const char* name : {"/tasks", "/schemata"}) ::unlink((group + name).c_str());
    ::rmdir((group + "/mon_groups").c_str());
  }
  bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

  std::string root_;
  spec::IntelRdt plan_;
};

TEST(ResctrlTest, IsFoundByItsMountOrRefused) {
  const auto found = FindResctrl(
      "22 1 0:20 / /proc rw - proc proc rw\n"
      "99 1 0:50 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw\n");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, "/sys/fs/resctrl");
  const auto missing = FindResctrl("22 1 0:20 / /proc rw - proc proc rw\n");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(absl::StrContains(missing.status().message(), "$.linux.intelRdt"));
}

TEST_F(IntelRdtTest, WithoutANameTheClassIsTheContainersAndGoesWithIt) {
  plan_.l3_cache_schema = "L3:0=f;1=ff\nMB:0=10;1=10";
  plan_.memory_bandwidth_schema = "MB:0=20;1=70";
  auto group = IntelRdtGroup::Open(root_, plan_, "web");
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_EQ(group->path(), root_ + "/web");
  ASSERT_TRUE(Exists(root_ + "/web"));
  Populate(root_ + "/web");
  EXPECT_EQ(group->Configure(plan_), absl::OkStatus());
  // The bandwidth line of the cache schema gives way.
  EXPECT_TRUE(absl::StartsWith(*ReadFile(root_ + "/web/schemata"), "L3:0=f;1=ff\nMB:0=20;1=70\n"));
  EXPECT_EQ(group->Join(plan_, 4711), absl::OkStatus());
  EXPECT_EQ(*ReadFile(root_ + "/web/tasks"), "4711");
  Empty(root_ + "/web");
  EXPECT_EQ(IntelRdtGroup::At(root_, plan_, "web").Remove(), absl::OkStatus());
  EXPECT_FALSE(Exists(root_ + "/web"));
  EXPECT_EQ(group->Remove(), absl::OkStatus());
}

TEST_F(IntelRdtTest, ANamedClassIsMadeForItsSchemataAndStays) {
  plan_.class_id = "guaranteed";
  plan_.schemata = {"L3:0=7f0;1=1f", "L2:0=f;1=f"};
  auto group = IntelRdtGroup::Open(root_, plan_, "web");
  ASSERT_TRUE(group.ok()) << group.status();
  Populate(root_ + "/guaranteed");
  Write(root_ + "/guaranteed/schemata", "");
  EXPECT_EQ(group->Configure(plan_), absl::OkStatus());
  EXPECT_EQ(*ReadFile(root_ + "/guaranteed/schemata"), "L3:0=7f0;1=1f\nL2:0=f;1=f\n");
  EXPECT_EQ(group->Remove(), absl::OkStatus());
  EXPECT_TRUE(Exists(root_ + "/guaranteed"));
}

TEST_F(IntelRdtTest, ANamedClassWithoutSchemasMustBeThere) {
  plan_.class_id = "missing";
  auto group = IntelRdtGroup::Open(root_, plan_, "web");
  EXPECT_EQ(group.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(group.status().message(), root_ + "/missing")) << group.status();
  EXPECT_FALSE(Exists(root_ + "/missing"));
  Populate(root_ + "/there");
  plan_.class_id = "there";
  group = IntelRdtGroup::Open(root_, plan_, "web");
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_EQ(group->Configure(plan_), absl::OkStatus());
  EXPECT_TRUE(absl::StrContains(*ReadFile(root_ + "/there/schemata"), "L3:0=00f"));
  // "/" is the class that every process is in.
  plan_.class_id = "/";
  EXPECT_EQ(IntelRdtGroup::Open(root_, plan_, "web")->path(), root_);
}

TEST_F(IntelRdtTest, AnExistingClassMustHaveTheSchemasThatAreWanted) {
  Populate(root_ + "/shared");
  plan_.class_id = "shared";
  plan_.l3_cache_schema = "L3:0=f;1=7FF";
  plan_.memory_bandwidth_schema = "MB:0=20";
  EXPECT_TRUE(IntelRdtGroup::Open(root_, plan_, "web").ok());
  plan_.memory_bandwidth_schema = "MB:0=30";
  auto group = IntelRdtGroup::Open(root_, plan_, "web");
  EXPECT_EQ(group.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(group.status().message(), "MB:0=20, not the 30")) << group.status();
}

TEST_F(IntelRdtTest, MonitoringHasAGroupOfItsOwnThatGoes) {
  Populate(root_ + "/shared");
  plan_.class_id = "shared";
  plan_.monitoring = true;
  auto group = IntelRdtGroup::Open(root_, plan_, "web");
  ASSERT_TRUE(group.ok());
  const std::string monitor = root_ + "/shared/mon_groups/web";
  EXPECT_FALSE(group->Join(plan_, 7).ok());  // no kernel fills in its tasks file here
  EXPECT_TRUE(Exists(monitor));
  Write(monitor + "/tasks", "");
  EXPECT_EQ(group->Join(plan_, 7), absl::OkStatus());
  EXPECT_EQ(*ReadFile(monitor + "/tasks"), "7");
  ::unlink((monitor + "/tasks").c_str());
  EXPECT_EQ(group->Remove(), absl::OkStatus());
  EXPECT_FALSE(Exists(monitor));
  EXPECT_TRUE(Exists(root_ + "/shared"));
}

TEST_F(IntelRdtTest, ARefusedSchemaIsToldInTheKernelsWords) {
  Populate(root_ + "/shared");
  ASSERT_EQ(::unlink((root_ + "/shared/schemata").c_str()), 0);
  ASSERT_EQ(::mkdir((root_ + "/shared/schemata").c_str(), 0755), 0);
  Write(root_ + "/info/last_cmd_status", "Mask out of range\n");
  plan_.class_id = "shared";
  plan_.schemata = {"L3:0=fffff"};
  const absl::Status status = IntelRdtGroup::Open(root_, plan_, "web")->Configure(plan_);
  EXPECT_TRUE(absl::StrContains(status.message(), "Mask out of range")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "$.linux.intelRdt.schemata")) << status;
}

}  // namespace
}  // namespace berth::cgroup
