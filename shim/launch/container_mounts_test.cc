// Every option of a mount, seen in the mountinfo of real containers: one container shows many.

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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

class MountsTest : public ContainerTest {
 protected:
  void TearDown() override {
    for (const std::string& point : host_mounts_) ::umount2(point.c_str(), MNT_DETACH);
    ContainerTest::TearDown();
  }

  std::string Mounts() {
    Outcome run = RunPayload({"cat", "/proc/self/mountinfo"});
    EXPECT_EQ(run.create, absl::OkStatus());
    return run.output;
  }
  // A directory of the host's that is a mount of its own.
  void MakeHostMount(const std::string& name, unsigned long flags) {
    ASSERT_TRUE(EnsureDirectory(Path(name), 0755).ok());
    ASSERT_EQ(::mount("none", Path(name).c_str(), "tmpfs", flags, nullptr), 0);
    host_mounts_.insert(host_mounts_.begin(), Path(name));
  }
  // A tree of two mounts, both with `flags`.
  void MakeTree(const std::string& name, unsigned long flags) {
    MakeHostMount(name, 0);
    MakeHostMount(name + "/below", 0);
    for (const std::string& point : {Path(name), Path(name) + "/below"}) {
      ASSERT_EQ(::mount(nullptr, point.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr), 0);
    }
  }
  // The words of a mountinfo line, its superblock's among them.
  static bool Has(const std::string& line, const std::string& word) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" ,"));
    return std::find(words.begin(), words.end(), word) != words.end();
  }

  std::vector<std::string> host_mounts_;
};

// Where `words` begin with "!" the mount must be without them.
struct OptionCase {
  std::vector<std::string> options;
  std::vector<std::string> words;
};

void ExpectWords(const std::string& line, const OptionCase& c) {
  const std::vector<absl::string_view> there = absl::StrSplit(line, absl::ByAnyChar(" ,"));
  for (absl::string_view word : c.words) {
    const bool without = absl::ConsumePrefix(&word, "!");
    const bool found = std::find(there.begin(), there.end(), word) != there.end();
    EXPECT_NE(found, without) << word << " with option " << c.options.back() << " in " << line;
  }
}

TEST_F(MountsTest, EveryOptionOfAMountHasItsEffect) {
  const OptionCase cases[] = {
      {{"ro"}, {"ro"}},
      {{"ro", "rw"}, {"rw", "!ro"}},
      {{"nosuid"}, {"nosuid"}},
      {{"nosuid", "suid"}, {"!nosuid"}},
      {{"nodev"}, {"nodev"}},
      {{"nodev", "dev"}, {"!nodev"}},
      {{"noexec"}, {"noexec"}},
      {{"noexec", "exec"}, {"!noexec"}},
      {{"nodiratime"}, {"nodiratime"}},
      {{"nodiratime", "diratime"}, {"!nodiratime"}},
      {{"noatime"}, {"noatime", "!relatime"}},
      {{"noatime", "atime"}, {"!noatime", "relatime"}},
      {{"strictatime"}, {"!noatime", "!relatime"}},
      {{"strictatime", "nostrictatime"}, {"relatime"}},
      {{"strictatime", "relatime"}, {"relatime"}},
      {{"noatime", "norelatime"}, {"!noatime"}},
      {{"nosymfollow"}, {"nosymfollow"}},
      {{"nosymfollow", "symfollow"}, {"!nosymfollow"}},
      {{"sync"}, {"sync"}},
      {{"sync", "async"}, {"!sync"}},
      {{"dirsync"}, {"dirsync"}},
      {{"mand", "nomand"}, {"!mand"}},
      {{"lazytime"}, {"lazytime"}},
      {{"lazytime", "nolazytime"}, {"!lazytime"}},
      {{"silent", "loud", "iversion", "noiversion", "defaults"}, {"rw", "relatime"}},
      {{"size=64k", "mode=700"}, {"size=64k", "mode=700"}},
  };
  int number = 0;
  for (const OptionCase& c : cases) {
    AddMount(absl::StrCat("/m", number++), "tmpfs", "tmpfs", c.options);
  }
  // Changes what is mounted there already.
  AddMount("/again", "tmpfs", "tmpfs", {"nosuid"});
  AddMount("/again", "tmpfs", "tmpfs", {"remount", "ro", "nodev"});
  AddMount("/bound", "bind", Path("rootfs"), {"bind"});
  AddMount("/bound", "bind", Path("rootfs"), {"remount", "bind", "ro"});
  const std::string mounts = Mounts();
  number = 0;
  for (const OptionCase& c : cases) {
    ExpectWords(MountLine(mounts, absl::StrCat("/m", number++)), c);
  }
  ExpectWords(MountLine(mounts, "/again"), {{"remount"}, {"ro", "nodev", "nosuid"}});
  ExpectWords(MountLine(mounts, "/bound"), {{"remount"}, {"ro"}});
}

TEST_F(MountsTest, EveryRecursiveOptionReachesTheWholeTree) {
  MakeTree("plain", 0);
  MakeTree("strict", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
  const OptionCase set[] = {{{"rro"}, {"ro"}},
                            {{"rnosuid"}, {"nosuid"}},
                            {{"rnodev"}, {"nodev"}},
                            {{"rnoexec"}, {"noexec"}},
                            {{"rnodiratime"}, {"nodiratime"}},
                            {{"rnoatime"}, {"noatime"}},
                            {{"rstrictatime"}, {"!relatime", "!noatime"}},
                            {{"rnosymfollow"}, {"nosymfollow"}}};
  const OptionCase clear[] = {{{"rrw"}, {"rw"}},
                              {{"rsuid"}, {"!nosuid", "nodev"}},
                              {{"rdev"}, {"!nodev", "nosuid"}},
                              {{"rexec"}, {"!noexec"}},
                              {{"rdiratime"}, {"!nodiratime"}},
                              {{"ratime"}, {"!noatime"}},
                              {{"rrelatime"}, {"!noatime", "relatime"}},
                              {{"rnorelatime"}, {"!noatime"}},
                              {{"rnostrictatime"}, {"!noatime"}},
                              {{"rsymfollow"}, {"!nosymfollow", "nosuid"}}};
  int number = 0;
  auto add = [&](const OptionCase& c, const char* source) {
    std::vector<std::string> options = c.options;
    options.push_back("rbind");
    AddMount(absl::StrCat("/t", number++), "bind", Path(source), options);
  };
  for (const OptionCase& c : set) add(c, "plain");
  for (const OptionCase& c : clear) add(c, "strict");
  const std::string mounts = Mounts();
  number = 0;
  auto expect = [&](const OptionCase& c) {
    const std::string point = absl::StrCat("/t", number++);
    ExpectWords(MountLine(mounts, point), c);
    ExpectWords(MountLine(mounts, point + "/below"), c);
  };
  for (const OptionCase& c : set) expect(c);
  for (const OptionCase& c : clear) expect(c);
}

TEST_F(MountsTest, TheKernelsOwnFilesystemsAreOfTheirKinds) {
  const std::string mounts = Mounts();
  for (const auto& [point, type] :
       {std::pair("/proc", "proc"), std::pair("/sys", "sysfs"), std::pair("/dev/mqueue", "mqueue"),
        std::pair("/dev/pts", "devpts"), std::pair("/dev", "tmpfs")}) {
    EXPECT_TRUE(StrContains(MountLine(mounts, point), absl::StrCat(" - ", type, " "))) << mounts;
  }
  EXPECT_TRUE(Has(MountLine(mounts, "/dev/pts"), "ptmxmode=666"));
}

TEST_F(MountsTest, TheRootHasEachPropagation) {
  // What "slave" follows: the bundle on a shared mount.
  MakeHostMount("shared", 0);
  ASSERT_EQ(::mount(nullptr, Path("shared").c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_TRUE(EnsureDirectory(Path("shared/root/bin"), 0755).ok());
  ASSERT_TRUE(EnsureDirectory(Path("shared/root/proc"), 0755).ok());
  WriteFile("shared/root/bin/payload", *ReadFile("tests/payload/payload"), 0755);
  spec_.root_path = "shared/root";
  struct Case {
    const char* name;
    const char* with;
    const char* without;
  };
  for (const Case& c :
       {Case{"shared", "shared:", "unbindable"}, Case{"slave", "master:", "shared:"},
        Case{"private", "/", "master:"}, Case{"unbindable", "unbindable", "shared:"}}) {
    spec_.linux_members = absl::StrCat(R"("rootfsPropagation":")", c.name, R"(",)");
    const std::string line = MountLine(Mounts(), "/");
    EXPECT_TRUE(StrContains(line, c.with)) << c.name << ": " << line;
    EXPECT_FALSE(StrContains(line, c.without)) << c.name << ": " << line;
  }
}

// What is mounted on the host below a slave bind shows inside later; a private one stays as it was.
TEST_F(MountsTest, LaterMountsOfTheHostReachSlaveBindsOnly) {
  MakeHostMount("source", 0);
  ASSERT_EQ(::mount(nullptr, Path("source").c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_TRUE(EnsureDirectory(Path("source/later"), 0755).ok());
  AddMount("/slave", "bind", Path("source"), {"rbind", "rslave"});
  AddMount("/private", "bind", Path("source"), {"rbind", "rprivate"});
  StartServing();
  MakeHostMount("source/later", 0);
  WriteFile("source/later/file", "x");
  const Outcome exec = ExecPayload({"ls", "/slave/later", ";", "ls", "/private/later"});
  EXPECT_EQ(exec.output, "file\n");
  StopServing();
}

TEST_F(MountsTest, IdMapsOneMountOrTheTreeByOwnMappings) {
  MakeHostMount("tree", 0);
  MakeHostMount("tree/below", 0);
  WriteFile("tree/data", "x");
  WriteFile("tree/below/data", "x");
  const std::string mappings = R"("uidMappings":[{"containerID":0,"hostID":1234,"size":10}],
      "gidMappings":[{"containerID":0,"hostID":4321,"size":10}],)";
  AddMount("/one", "bind", Path("tree"), {"rbind", "idmap"}, mappings);
  AddMount("/all", "bind", Path("tree"), {"rbind", "ridmap"}, mappings);
  const Outcome run = RunPayload({"stat", "/one/data", ";", "stat", "/one/below/data", ";", "stat",
                                  "/all/data", ";", "stat", "/all/below/data"});
  if (StrContains(run.create.message(), "cannot be id-mapped on this kernel")) {
    GTEST_SKIP() << "this kernel does not map a tmpfs";
  }
  const std::vector<std::string> lines = absl::StrSplit(run.output, '\n');
  ASSERT_EQ(lines.size(), 5u) << run.output << run.create;
  EXPECT_TRUE(StrContains(lines[0], "uid=1234 gid=4321")) << lines[0];
  EXPECT_TRUE(StrContains(lines[1], "uid=0 gid=0")) << lines[1];
  EXPECT_TRUE(StrContains(lines[2], "uid=1234 gid=4321")) << lines[2];
  EXPECT_TRUE(StrContains(lines[3], "uid=1234 gid=4321")) << lines[3];
}

TEST_F(MountsTest, IdMapsByTheContainersMappings) {
  WriteFile("source/data", "x");
  struct statfs filesystem;
  ASSERT_EQ(::statfs(Path("source").c_str(), &filesystem), 0);
  if (filesystem.f_type == TMPFS_MAGIC) GTEST_SKIP() << "a tmpfs is not mapped by Linux 6.1";
  ChownTree("rootfs", 100000, 100000);
  spec_.namespaces.push_back("user");
  spec_.linux_members = R"("uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],
      "gidMappings":[{"containerID":0,"hostID":100000,"size":65536}],)";
  AddMount("/mapped", "bind", Path("source"), {"bind", "idmap"});
  AddMount("/plain", "bind", Path("source"), {"bind"});
  const Outcome run = RunPayload({"stat", "/mapped/data", ";", "stat", "/plain/data"});
  const std::vector<std::string> lines = absl::StrSplit(run.output, '\n');
  ASSERT_EQ(lines.size(), 3u) << run.output << run.create;
  // The host's root is the container's there, and nobody elsewhere.
  EXPECT_TRUE(StrContains(lines[0], "uid=0 gid=0")) << lines[0];
  EXPECT_TRUE(StrContains(lines[1], "uid=65534 gid=65534")) << lines[1];
}

TEST_F(MountsTest, ASourceThatIsALinkIsMountedItself) {
  WriteFile("source", "of the host");
  WriteFile("rootfs/etc/inside", "of the image");
  ASSERT_EQ(::symlink("/etc/inside", Path("link").c_str()), 0);
  AddMount("/place", "bind", Path("link"), {"bind", "src-nofollow"});
  const Outcome run = RunPayload({"readlink", "/place", ";", "cat", "/place"});
  EXPECT_EQ(run.output, "/etc/inside\nof the image") << run.create << run.errors;
}

TEST_F(MountsTest, Cgroup2IsTheUnifiedHierarchyAlone) {
  AddMount("/cg", "cgroup2", "cgroup2", {"ro", "nosuid", "nsdelegate", "memory_recursiveprot"});
  for (const bool own_namespace : {false, true}) {
    if (own_namespace) spec_.namespaces.push_back("cgroup");
    const Outcome run = RunPayload(
        {"cat", "/proc/self/mountinfo", ";", "ls", "/cg", ";", "write", "/cg/cgroup.procs", "1"});
    const std::string line = MountLine(run.output, "/cg");
    EXPECT_TRUE(StrContains(line, " - cgroup2 ")) << line << run.create;
    ExpectWords(line, {{"cgroup2"}, {"ro", "nosuid"}});
    // The container's own group, and nothing above it.
    EXPECT_TRUE(StrContains(run.output, "cgroup.procs\n")) << run.output;
    EXPECT_FALSE(StrContains(run.output, "runtime-test\n")) << run.output;
    EXPECT_TRUE(StrContains(run.errors, "Read-only file system")) << run.errors;
  }
}

TEST_F(MountsTest, MaskedDirectoriesShareOneEmptyFilesystem) {
  WriteFile("rootfs/one/file", "x");
  WriteFile("rootfs/two/file", "x");
  spec_.linux_members = R"("maskedPaths":["/one","/two"],)";
  const std::string mounts = Mounts();
  const std::vector<std::string> one = absl::StrSplit(MountLine(mounts, "/one"), ' ');
  const std::vector<std::string> two = absl::StrSplit(MountLine(mounts, "/two"), ' ');
  ASSERT_GT(one.size(), 5u) << mounts;
  ASSERT_GT(two.size(), 5u) << mounts;
  EXPECT_EQ(one[2], two[2]);  // device numbers
  ExpectWords(MountLine(mounts, "/two"), {{"mask"}, {"ro"}});
}

TEST_F(MountsTest, AMountLabelIsGivenOrRefused) {
  if (::access("/sys/fs/selinux/enforce", F_OK) == 0) GTEST_SKIP() << "SELinux is active here";
  spec_.linux_members = R"("mountLabel":"system_u:object_r:container_file_t:s0",)";
  const Outcome run = RunPayload({"true"});
  EXPECT_EQ(run.create.code(), absl::StatusCode::kUnimplemented) << run.create;
  EXPECT_TRUE(StrContains(run.create.message(), "$.linux.mountLabel")) << run.create;
}

TEST_F(MountsTest, MakesEveryDefaultNodeAndLink) {
  const Outcome run = RunPayload({"stat",     "/dev/null",    ";", "stat",     "/dev/zero",   ";",
                                  "stat",     "/dev/full",    ";", "stat",     "/dev/random", ";",
                                  "stat",     "/dev/urandom", ";", "stat",     "/dev/tty",    ";",
                                  "readlink", "/dev/fd",      ";", "readlink", "/dev/stdin",  ";",
                                  "readlink", "/dev/stdout",  ";", "readlink", "/dev/stderr", ";",
                                  "readlink", "/dev/ptmx"});
  std::string expected;
  for (const char* number : {"1:3", "1:5", "1:7", "1:8", "1:9", "5:0"}) {
    absl::StrAppend(&expected, "char mode=0666 uid=0 gid=0 size=0 dev=", number, "\n");
  }
  absl::StrAppend(&expected, "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n",
                  "pts/ptmx\n");
  EXPECT_EQ(run.output, expected);
}

TEST_F(MountsTest, MakesNodesOfEachType) {
  spec_.linux_members = R"("devices":[
      {"path":"/dev/c","type":"c","major":1,"minor":3,"fileMode":438},
      {"path":"/dev/u","type":"u","major":1,"minor":5,"fileMode":256,"uid":7},
      {"path":"/dev/sub/b","type":"b","major":7,"minor":9,"fileMode":432,"gid":8},
      {"path":"/dev/p","type":"p"}],)";
  const Outcome run = RunPayload(
      {"stat", "/dev/c", ";", "stat", "/dev/u", ";", "stat", "/dev/sub/b", ";", "stat", "/dev/p"});
  EXPECT_EQ(run.output,
            "char mode=0666 uid=0 gid=0 size=0 dev=1:3\nchar mode=0400 uid=7 gid=0 size=0 dev=1:5\n"
            "block mode=0660 uid=0 gid=8 size=0 dev=7:9\n"
            "fifo mode=0666 uid=0 gid=0 size=0 dev=0:0\n")
      << run.create;
}

}  // namespace
}  // namespace berth::launch
