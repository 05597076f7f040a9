#include "shim/cgroup/systemd_unit.h"

#include "gtest/gtest.h"

namespace berth::cgroup {
namespace {

TEST(SystemdUnitTest, NestsSlicesAndNamesTheScope) {
  auto unit = ParseSystemdUnit("kube-pods-pod7.slice:cri:abc", "id");
  ASSERT_TRUE(unit.ok()) << unit.status();
  EXPECT_EQ(unit->slice, "kube-pods-pod7.slice");
  EXPECT_EQ(unit->scope, "cri-abc.scope");
  EXPECT_EQ(unit->path, "/kube.slice/kube-pods.slice/kube-pods-pod7.slice/cri-abc.scope");
}

TEST(SystemdUnitTest, HasDefaultsForEachPart) {
  EXPECT_EQ(ParseSystemdUnit("", "web")->path, "/system.slice/berth-web.scope");
  EXPECT_EQ(ParseSystemdUnit(":docker:x", "web")->path, "/system.slice/docker-x.scope");
  EXPECT_EQ(ParseSystemdUnit("-.slice::x", "web")->path, "/x.scope");
}

TEST(SystemdUnitTest, RefusesWhatIsNoUnit) {
  for (const char* path : {"/docker/x", "a:b", "a:b:c:d", "system:docker:x", "a--b.slice:d:x",
                           "../up.slice:d:x", "system.slice:d:", "system.slice:d:a/b"}) {
    auto unit = ParseSystemdUnit(path, "web");
    EXPECT_EQ(unit.status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST(SystemdUnitTest, FindsWhereTheUnitsBegin) {
  EXPECT_EQ(SystemdRoot("0::/init.scope\n"), "");
  EXPECT_EQ(SystemdRoot("0::/\n"), "");
  EXPECT_EQ(SystemdRoot("3:memory:/x\n1:name=systemd:/lxc/a/init.scope\n"), "/lxc/a");
}

}  // namespace
}  // namespace berth::cgroup
