#include "shim/launch/container_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "shim/security/capabilities.h"

namespace berth::launch {
namespace {

std::string Strings(const std::vector<std::string>& values) {
  json::Writer writer;
  writer.BeginArray();
  for (const std::string& value : values) writer.String(value);
  return writer.EndArray().Take();
}

// Reads until the end, at most ten seconds; a pty's end is an error.
std::string Drain(BorrowedFd fd) {
  std::string text;
  if (!fd.valid()) return text;
  char buffer[65536];
  struct pollfd wait = {fd.get(), POLLIN, 0};
  while (::poll(&wait, 1, 10000) > 0) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof(buffer));
    if (size <= 0) break;
    text.append(buffer, static_cast<size_t>(size));
  }
  return text;
}

}  // namespace

void ContainerTest::SetUpTestSuite() {
  // What others mount meanwhile must not show in HostFacts.
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  // shared_root_test.sh looks at what comes out of here.
  if (::getenv("BERTH_TEST_SHARED_ROOT") != nullptr) return;
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
}

void ContainerTest::SetUp() {
  char path[] = "/tmp/runtime-test-XXXXXX";
  ASSERT_NE(::mkdtemp(path), nullptr);
  ASSERT_EQ(::chmod(path, 0755), 0);
  bundle_ = path;
  id_ = bundle_.substr(bundle_.rfind('/') + 1);
  auto loop = Loop::Create();
  ASSERT_TRUE(loop.ok()) << loop.status();
  loop_ = *std::move(loop);
  for (const char* name : {"rootfs/proc", "rootfs/dev", "rootfs/sys", "rootfs/etc", "rootfs/tmp"}) {
    ASSERT_TRUE(EnsureDirectory(Path(name), 0755).ok());
  }
  WriteFile("rootfs/bin/payload", *ReadFile("tests/payload/payload"), 0755);
  AddMount("/proc", "proc", "proc", {});
  AddMount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
  AddMount("/dev/pts", "devpts", "devpts",
           {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"});
  AddMount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"});
  AddMount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"});
  AddMount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"});
}

void ContainerTest::TearDown() {
  if (container_) {
    container_->Kill(SIGKILL, KillScope::kAll).IgnoreError();
    Await([&](Container::Done done) { container_->Cleanup(std::move(done)); }).IgnoreError();
    container_.reset();
  }
  for (const char* hierarchy : {"", "/memory", "/pids", "/unified"}) {
    const std::string group = absl::StrCat("/sys/fs/cgroup", hierarchy, "/runtime-test/", id_);
    EXPECT_NE(::access(group.c_str(), F_OK), 0) << group << " is left";
  }
  auto parent = OpenFile("/tmp", O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(RemoveTreeAt(*parent, bundle_.substr(5)).ok());
}

void ContainerTest::WriteFile(const std::string& name, const std::string& text, mode_t mode) {
  const std::string path = Path(name);
  ASSERT_TRUE(EnsureDirectory(path.substr(0, path.rfind('/')), 0755).ok());
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, text, mode, Durability::kUnsynced).ok());
}

void ContainerTest::ChownTree(const std::string& name, uid_t uid, gid_t gid) {
  const std::string command = absl::StrCat("chown -R ", uid, ":", gid, " ", Path(name));
  ASSERT_EQ(std::system(command.c_str()), 0);
}

void ContainerTest::AddMount(const std::string& destination, const std::string& type,
                             const std::string& source, const std::vector<std::string>& options,
                             const std::string& members) {
  spec_.mounts.push_back(absl::StrCat("{\"destination\":", json::Quote(destination), ",", members,
                                      "\"type\":\"", type, "\",\"source\":", json::Quote(source),
                                      ",\"options\":", Strings(options), "}"));
}

void ContainerTest::WriteConfig(const std::vector<std::string>& args) {
  std::vector<std::string> all = {spec_.program};
  all.insert(all.end(), args.begin(), args.end());
  std::vector<std::string> namespaces;
  for (const std::string& type : spec_.namespaces) {
    std::string path;
    for (const auto& [joined_type, joined_path] : spec_.joined) {
      if (joined_type == type) path = joined_path;
    }
    namespaces.push_back(absl::StrCat("{\"type\":\"", type, "\"",
                                      path.empty() ? "" : absl::StrCat(",\"path\":\"", path, "\""),
                                      "}"));
  }
  WriteFile(
      "config.json",
      absl::StrCat(
          "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"", spec_.root_path,
          "\",\"readonly\":", spec_.root_readonly ? "true" : "false", "},\"process\":{",
          spec_.process_members, "\"args\":", Strings(all), ",\"cwd\":\"", spec_.cwd,
          "\",\"env\":[\"PATH=/bin\"],\"user\":", spec_.user,
          ",\"capabilities\":", spec_.capabilities, "},\"mounts\":[",
          absl::StrJoin(spec_.mounts, ","), "],\"hooks\":{", spec_.hooks, "},",
          spec_.hostname.empty() ? "" : absl::StrCat("\"hostname\":\"", spec_.hostname, "\","),
          "\"linux\":{", spec_.linux_members, "\"cgroupsPath\":\"/runtime-test/", id_,
          "\",\"namespaces\":[", absl::StrJoin(namespaces, ","), "]}}"));
}

CreateOptions ContainerTest::Options() {
  CreateOptions options;
  options.id = id_;
  options.bundle = bundle_;
  options.rootfs_mounts = rootfs_mounts_;
  options.seccomp_cache_directory = Path("seccomp");
  auto out = MakePipe();
  auto err = MakePipe();
  out_ = std::move(out->read);
  err_ = std::move(err->read);
  options.stdio.out = std::move(out->write);
  options.stdio.err = std::move(err->write);
  return options;
}

absl::Status ContainerTest::Await(absl::FunctionRef<void(Container::Done)> call) {
  absl::optional<absl::Status> result;
  call([&](absl::Status status) { result = std::move(status); });
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!result) {
    if (absl::Now() > deadline) return absl::DeadlineExceededError("the test's own patience");
    loop_->RunOnce(absl::Seconds(1)).IgnoreError();
  }
  return *result;
}

int ContainerTest::WaitForExit(BorrowedFd pidfd) {
  struct pollfd wait = {pidfd.get(), POLLIN, 0};
  if (::poll(&wait, 1, 20000) != 1) return -2;
  siginfo_t info = {};
  if (::waitid(static_cast<idtype_t>(3), static_cast<id_t>(pidfd.get()), &info, WEXITED) != 0)
    return -3;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

absl::Status ContainerTest::CreateContainer(const std::vector<std::string>& args) {
  WriteConfig(args);
  container_ = std::make_unique<Container>(*loop_);
  return Await([&](Container::Done done) { container_->Create(Options(), std::move(done)); });
}

Outcome ContainerTest::FinishContainer() {
  Outcome run;
  run.cgroup_paths = container_->cgroup_paths();
  run.start = Await([&](Container::Done done) { container_->Start(std::move(done)); });
  UniqueFd console = container_->TakeConsole();
  run.output = Drain(console.valid() ? BorrowedFd(console) : BorrowedFd(out_));
  run.errors = Drain(err_);
  run.exit_code = WaitForExit(container_->init_pidfd());
  run.cleanup = Await([&](Container::Done done) { container_->Cleanup(std::move(done)); });
  run.warnings = container_->TakeWarnings();
  container_.reset();
  return run;
}

Outcome ContainerTest::RunPayload(const std::vector<std::string>& args) {
  absl::Status create = CreateContainer(args);
  if (!create.ok()) {
    Outcome run;
    run.create = create;
    run.start = absl::FailedPreconditionError("not created");
    container_.reset();
    return run;
  }
  return FinishContainer();
}

void ContainerTest::StartServing(const std::vector<std::string>& args) {
  ASSERT_EQ(CreateContainer(args), absl::OkStatus());
  ASSERT_EQ(Await([&](Container::Done done) { container_->Start(std::move(done)); }),
            absl::OkStatus());
  struct pollfd wait = {out_.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 10000), 1);
}

void ContainerTest::StopServing() {
  ASSERT_EQ(container_->Kill(SIGTERM, KillScope::kInit), absl::OkStatus());
  EXPECT_EQ(WaitForExit(container_->init_pidfd()), 43);
}

Outcome ContainerTest::ExecPayload(const std::vector<std::string>& args, const std::string& program,
                                   const std::string& members, const std::string& cwd) {
  std::vector<std::string> all = {program};
  all.insert(all.end(), args.begin(), args.end());
  ExecOptions options;
  options.exec_id = "test";
  options.process_json = absl::StrCat("{", members, "\"args\":", Strings(all),
                                      ",\"cwd\":", json::Quote(cwd), ",\"env\":[\"PATH=/bin\"]}");
  auto out = MakePipe();
  options.stdio.out = std::move(out->write);
  absl::optional<absl::StatusOr<ExecProcess>> result;
  container_->Exec(std::move(options), [&](absl::StatusOr<ExecProcess> process) {
    result.emplace(std::move(process));
  });
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!result && absl::Now() < deadline) loop_->RunOnce(absl::Seconds(1)).IgnoreError();
  Outcome run;
  if (!result) {
    run.start = absl::DeadlineExceededError("exec");
    return run;
  }
  run.start = result->status();
  if (!result->ok()) return run;
  const ExecProcess& process = **result;
  run.output = Drain(process.console.valid() ? process.console : out->read);
  run.exit_code = WaitForExit(process.pidfd);
  return run;
}

std::string ContainerTest::CgroupFile(const std::string& controller, const std::string& file) {
  for (const std::string& path : container_->cgroup_paths()) {
    if (!HasV2Only() && !absl::StrContains(path, absl::StrCat("/", controller, "/"))) continue;
    auto text = ReadFile(absl::StrCat(path, "/", file));
    return text.ok() ? *text : text.status().ToString();
  }
  return "no such hierarchy";
}

std::string ContainerTest::HostFacts() {
  std::string facts = *ReadFile("/proc/self/mountinfo");
  auto root = OpenFile("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
  auto hierarchies = ListDirectory(*root);
  for (const std::string& hierarchy : *hierarchies) {
    const std::string path = absl::StrCat("/sys/fs/cgroup/", hierarchy, "/runtime-test/", id_);
    if (::access(path.c_str(), F_OK) == 0) absl::StrAppend(&facts, path, "\n");
  }
  const std::string unified = "/sys/fs/cgroup/runtime-test/" + id_;
  if (::access(unified.c_str(), F_OK) == 0) absl::StrAppend(&facts, unified, "\n");
  absl::StrAppend(
      &facts, "children: ", *ReadFile(absl::StrCat("/proc/self/task/", ::getpid(), "/children")));
  return facts;
}

bool ContainerTest::HasV2Only() { return ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0; }

std::string ContainerTest::MountLine(const std::string& mountinfo, const std::string& point) {
  std::string last = "no mount at " + point;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 5 && fields[4] == point) last = std::string(line);
  }
  return last;
}

bool ContainerTest::HasResourceCapability() {
  constexpr int kSysResource = 24;
  return (security::OwnPermitted() >> kSysResource & 1) != 0;
}

int ContainerTest::CountDescriptors() {
  auto directory = OpenFile("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  return static_cast<int>(ListDirectory(*directory)->size());
}

}  // namespace berth::launch
