// berth-runtime as its callers use it: one process for each command.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/json/document.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "gtest/gtest.h"
#include "tests/testing/receive_descriptor.h"

namespace berth::oci {
namespace {

struct Result {
  int code = -1;
  std::string out;  // standard output and error
};

class RuntimeCliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/runtime-cli-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
    ASSERT_TRUE(EnsureDirectory(directory_ + "/rootfs/bin", 0755).ok());
    const BorrowedFd cwd(AT_FDCWD);
    ASSERT_TRUE(ReplaceFileAt(cwd, directory_ + "/rootfs/bin/payload",
                              *ReadFile("tests/payload/payload"), 0755, Durability::kUnsynced)
                    .ok());
  }
  void TearDown() override {
    Run({"delete", "--force", "c"});
    auto parent = OpenFile("/tmp", O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(RemoveTreeAt(*parent, directory_.substr(5)).ok());
  }

  void WriteConfig(const std::string& arguments, const std::string& process_members = "") {
    const std::string text = absl::StrCat(
        R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"annotations":{"who":"me"},"process":{)",
        process_members, R"("cwd":"/","env":["PATH=/bin"],"args":["payload",)", arguments,
        R"(]},"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
        {"destination":"/dev","type":"tmpfs","source":"tmpfs"},
        {"destination":"/dev/pts","type":"devpts","source":"devpts","options":["newinstance","ptmxmode=0666"]}],
        "hooks":{"poststart":[{"path":"/bin/touch","args":["touch",")",
        directory_, R"(/poststart"]}]},"linux":{"cgroupsPath":"/runtime-cli/)",
        directory_.substr(5),
        R"(","namespaces":[{"type":"mount"},{"type":"pid"},{"type":"network"},{"type":"ipc"}]}})");
    ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), directory_ + "/config.json", text, 0644,
                              Durability::kUnsynced)
                    .ok());
  }

  absl::StatusOr<ChildProcess> Start(const std::vector<std::string>& arguments,
                                     const std::string& output) {
    SpawnOptions options;
    options.executable = program_;
    options.arguments = {
        "berth-runtime", "--root", directory_ + "/state", "--log", directory_ + "/log",
        "--log-format",  "json"};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    // A file, because a container in the background keeps its end of a pipe.
    UniqueFd file =
        *OpenFile(absl::StrCat(directory_, "/", output), O_RDWR | O_CREAT | O_TRUNC, 0600);
    options.environment = environment_;
    options.descriptors = {{1, file.get()}, {2, file.get()}};
    options.descriptors.insert(options.descriptors.end(), descriptors_.begin(), descriptors_.end());
    return Spawn(options);
  }
  Result Run(const std::vector<std::string>& arguments) {
    auto child = Start(arguments, "output");
    Result result;
    EXPECT_TRUE(child.ok()) << child.status();
    if (!child.ok()) return result;
    auto ended = child->Wait(absl::Seconds(30));
    EXPECT_TRUE(ended.ok()) << ended.status();
    if (ended.ok()) result.code = ended->ExitCode();
    result.out = Read("output");
    return result;
  }

  std::string StatusOf(const std::string& id) {
    auto document = json::Document::Parse(Run({"state", id}).out);
    return document.ok() ? std::string(document->root().Find("status").text()) : "none";
  }
  // Waits for a state that another process brings about.
  bool Becomes(const std::string& status) {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (absl::Now() < deadline) {
      if (StatusOf("c") == status) return true;
    }
    return false;
  }

  std::string Read(const std::string& name) {
    return *ReadFile(absl::StrCat(directory_, "/", name));
  }

  std::string directory_;
  std::string program_ = "shim/oci/berth-runtime";
  std::vector<std::string> environment_;
  std::vector<std::pair<int, int>> descriptors_;
};

TEST_F(RuntimeCliTest, RunPrintsAndReturnsTheExitStatus) {
  WriteConfig(R"("echo","hello",";","exit","7")");
  Result run = Run({"run", "--bundle", directory_, "c"});
  EXPECT_EQ(run.out, "hello\n");
  EXPECT_EQ(run.code, 7);
  EXPECT_EQ(StatusOf("c"), "none");
}

TEST_F(RuntimeCliTest, GoesThroughTheWholeLifecycle) {
  WriteConfig(R"("serve")");
  Result create = Run({"create", "-b", directory_, "--pid-file", directory_ + "/pid", "c"});
  ASSERT_EQ(create.code, 0) << create.out;
  EXPECT_EQ(StatusOf("c"), "created");
  Result again = Run({"create", "-b", directory_, "c"});
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(absl::StrContains(again.out, "container with given ID already exists")) << again.out;
  ASSERT_EQ(Run({"start", "c"}).code, 0);
  EXPECT_EQ(StatusOf("c"), "running");
  EXPECT_EQ(::access((directory_ + "/poststart").c_str(), F_OK), 0);
  Result second = Run({"start", "c"});
  EXPECT_EQ(second.code, 1);
  EXPECT_TRUE(absl::StrContains(second.out, "cannot start an already running container"))
      << second.out;
  const std::string pid = *ReadFile(directory_ + "/pid");
  EXPECT_EQ(Run({"ps", "--format", "json", "c"}).out, absl::StrCat("[", pid, "]\n"));
  EXPECT_TRUE(absl::StrContains(Run({"ps", "c"}).out, pid));
  EXPECT_TRUE(absl::StrContains(Run({"list", "-f", "json"}).out, absl::StrCat("\"pid\":", pid)));
  EXPECT_EQ(Run({"list", "-q"}).out, "c\n");
  EXPECT_TRUE(absl::StrContains(Run({"list"}).out, absl::StrCat("c           ", pid)));
  EXPECT_EQ(Run({"kill", "c", "0"}).code, 0);
  EXPECT_TRUE(absl::StrContains(Run({"events", "--stats", "c"}).out, "\"type\":\"stats\""));
  EXPECT_EQ(Run({"update", "--pids-limit", "50", "c"}).code, 0);
  EXPECT_EQ(Run({"pause", "c"}).code, 0);
  EXPECT_EQ(StatusOf("c"), "paused");
  EXPECT_EQ(Run({"exec", "c", "payload", "true"}).code, 255);
  EXPECT_EQ(Run({"resume", "c"}).code, 0);
  EXPECT_TRUE(
      absl::StrContains(Run({"delete", "c"}).out, "cannot delete container c that is not stopped"));
  EXPECT_EQ(Run({"kill", "c", "TERM"}).code, 0);
  EXPECT_TRUE(Becomes("stopped"));
  EXPECT_TRUE(absl::StrContains(Run({"kill", "c"}).out, "container not running"));
  EXPECT_EQ(Run({"update", "--pids-limit", "5", "c"}).code, 1);
  EXPECT_EQ(Run({"delete", "c"}).code, 0);
  EXPECT_TRUE(absl::StrContains(Run({"state", "c"}).out, "container does not exist"));
}

TEST_F(RuntimeCliTest, ExecsWithOptionsAndFromAFile) {
  WriteConfig(R"("serve")");
  ASSERT_EQ(Run({"run", "-d", "-b", directory_, "c"}).code, 0);
  Result exec = Run({"exec", "--user", "5:6", "--env", "A=b", "--cwd", "/bin", "c", "payload",
                     "ids", ";", "env", ";", "cwd", ";", "exit", "9"});
  EXPECT_TRUE(absl::StrContains(exec.out, "uid=5/5/5 gid=6/6/6")) << exec.out;
  EXPECT_TRUE(absl::StrContains(exec.out, "A=b\n")) << exec.out;
  EXPECT_TRUE(absl::StrContains(exec.out, "/bin\n")) << exec.out;
  EXPECT_EQ(exec.code, 9);
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), directory_ + "/process.json",
                            R"({"args":["/bin/payload","echo","from file"],"cwd":"/"})", 0644,
                            Durability::kUnsynced)
                  .ok());
  EXPECT_EQ(Run({"exec", "--process", directory_ + "/process.json", "c"}).out, "from file\n");
  Result missing = Run({"exec", "c", "nosuch"});
  EXPECT_EQ(missing.code, 255);
  auto log = json::Document::Parse(*ReadFile(directory_ + "/log"));
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(
      absl::StrContains(log->root().Find("msg").text(), "executable file not found in $PATH"));
  EXPECT_EQ(log->root().Find("level").text(), "error");
  EXPECT_EQ(Run({"delete", "-f", "c"}).code, 0);
}

TEST_F(RuntimeCliTest, SendsTheTerminalToTheConsoleSocket) {
  WriteConfig(R"("tty")", R"("terminal":true,)");
  auto listener = ListenUnix(directory_ + "/console.sock", 0600, 1);
  ASSERT_TRUE(listener.ok());
  Result refused = Run({"create", "-b", directory_, "c"});
  EXPECT_TRUE(absl::StrContains(refused.out, "console socket")) << refused.out;
  ASSERT_EQ(
      Run({"create", "-b", directory_, "--console-socket", directory_ + "/console.sock", "c"}).code,
      0);
  std::string name;
  const UniqueFd master = AcceptDescriptor(*listener, name);
  ASSERT_TRUE(master.valid());
  ASSERT_EQ(Run({"start", "c"}).code, 0);
  char text[512] = "";
  ASSERT_GT(::read(master.get(), text, sizeof(text) - 1), 0);
  EXPECT_TRUE(absl::StrContains(text, "tty=/dev/pts/0")) << text;
}

TEST_F(RuntimeCliTest, SendsPidFdsToTheirSocket) {
  WriteConfig(R"("serve")");
  const std::string socket = directory_ + "/pidfd.sock";
  auto listener = ListenUnix(socket, 0600, 2);
  ASSERT_TRUE(listener.ok());
  auto received_pid = [&] {
    std::string text;
    const UniqueFd pidfd = AcceptDescriptor(*listener, text);
    if (!pidfd.valid()) return std::string("none");
    const std::string info = *ReadFile(absl::StrCat("/proc/self/fdinfo/", pidfd.get()));
    const size_t at = info.find("\nPid:\t");
    return at == std::string::npos ? info : info.substr(at + 6, info.find('\n', at + 1) - at - 6);
  };
  ASSERT_EQ(Run({"create", "-b", directory_, "--pidfd-socket", socket, "--pid-file",
                 directory_ + "/pid", "c"})
                .code,
            0);
  EXPECT_EQ(received_pid(), Read("pid"));
  ASSERT_EQ(Run({"start", "c"}).code, 0);
  Result exec = Run({"exec", "-d", "--pidfd-socket", socket, "--pid-file", directory_ + "/pid2",
                     "c", "payload", "sleep", "100"});
  ASSERT_EQ(exec.code, 0) << exec.out;
  EXPECT_EQ(received_pid(), Read("pid2"));
  EXPECT_EQ(Run({"delete", "-f", "c"}).code, 0);
  ASSERT_EQ(Run({"run", "-d", "-b", directory_, "--pidfd-socket", socket, "c"}).code, 0);
  EXPECT_TRUE(absl::StrContains(Run({"ps", "-f", "json", "c"}).out, received_pid()));
  EXPECT_EQ(Run({"delete", "-f", "c"}).code, 0);
  const Result nobody = Run({"create", "-b", directory_, "--pidfd-socket", "/nowhere", "c"});
  EXPECT_EQ(nobody.code, 1);
  EXPECT_TRUE(absl::StrContains(nobody.out, "--pidfd-socket")) << nobody.out;
  EXPECT_EQ(StatusOf("c"), "none");
}

TEST_F(RuntimeCliTest, PassesTheDescriptorsThatItIsToldTo) {
  WriteConfig(R"("cat","/proc/self/fd/3",";","cat","/proc/self/fd/4",";","env",";","fds")");
  for (const char* name : {"first", "second"}) {
    ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(directory_, "/", name),
                              absl::StrCat(name, " file\n"), 0644, Durability::kUnsynced)
                    .ok());
  }
  const UniqueFd first = *OpenFile(directory_ + "/first", O_RDONLY);
  const UniqueFd second = *OpenFile(directory_ + "/second", O_RDONLY);
  descriptors_ = {{3, first.get()}, {4, second.get()}};
  // Those of a service manager come first and are told to the program.
  environment_ = {"LISTEN_FDS=1", "LISTEN_FDNAMES=web"};
  Result run = Run({"run", "-b", directory_, "--preserve-fds", "1", "c"});
  EXPECT_TRUE(absl::StartsWith(run.out, "first file\nsecond file\n")) << run.out;
  for (const char* variable : {"LISTEN_FDS=1\n", "LISTEN_PID=1\n", "LISTEN_FDNAMES=web\n"}) {
    EXPECT_TRUE(absl::StrContains(run.out, variable)) << run.out;
  }
  EXPECT_FALSE(absl::StrContains(run.out, "\n5 ")) << run.out;
  environment_.clear();
  run =
      Run({"run", "-b", directory_, "--preserve-fds", "2", "--no-pivot", "--no-new-keyring", "c"});
  EXPECT_TRUE(absl::StartsWith(run.out, "first file\nsecond file\n")) << run.out;
  EXPECT_FALSE(absl::StrContains(run.out, "LISTEN_")) << run.out;
  // More than there are is an error that says which.
  descriptors_.clear();
  run = Run({"run", "-b", directory_, "--preserve-fds", "2", "c"});
  EXPECT_EQ(run.code, 1);
  EXPECT_TRUE(absl::StrContains(run.out, "--preserve-fds: descriptor 3")) << run.out;
}

TEST_F(RuntimeCliTest, ExecTakesEveryOption) {
  WriteConfig(R"("serve")");
  ASSERT_EQ(Run({"run", "-d", "-b", directory_, "c"}).code, 0);
  Result exec =
      Run({"exec", "--user", "5:6", "-g", "8", "-g", "9", "--cap", "CAP_KILL", "--no-new-privs",
           "c", "payload", "ids", ";", "status", "CapBnd", ";", "status", "NoNewPrivs"});
  EXPECT_TRUE(absl::StrContains(exec.out, "groups=8,9\n")) << exec.out;
  EXPECT_TRUE(absl::StrContains(exec.out, "CapBnd:\t0000000000000020\n")) << exec.out;
  EXPECT_TRUE(absl::StrContains(exec.out, "NoNewPrivs:\t1\n")) << exec.out;
  exec = Run({"exec", "--tty", "c", "payload", "tty"});
  EXPECT_TRUE(absl::StrContains(exec.out, "tty=/dev/pts/0")) << exec.out;
  exec = Run({"exec", "--apparmor", "no-such-profile", "c", "payload", "true"});
  EXPECT_EQ(exec.code, 255);
  EXPECT_TRUE(absl::StrContains(exec.out, "no-such-profile")) << exec.out;
  // Below the container's own group, where somebody made one.
  const auto groups = json::Document::Parse(Read("state/c/state.json"));
  ASSERT_TRUE(groups.ok());
  for (auto path : groups->root().Find("cgroupPaths")) {
    ASSERT_EQ(::mkdir(absl::StrCat(path.value().text(), "/sub").c_str(), 0755), 0);
  }
  if (::access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0) {
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
      for (auto path : groups->root().Find("cgroupPaths")) {
        const std::string group(path.value().text());
        const auto inherited = ReadFile(absl::StrCat(group, "/", file));
        if (!inherited.ok()) continue;
        ASSERT_TRUE(
            WriteControlFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(group, "/sub/", file), *inherited)
                .ok());
      }
    }
    exec = Run({"exec", "--cgroup", "/sub", "c", "payload", "cat", "/proc/self/cgroup"});
    EXPECT_TRUE(absl::StrContains(exec.out, absl::StrCat(directory_.substr(5), "/sub\n")))
        << exec.out;
  }
  ASSERT_EQ(
      Run({"exec", "-d", "--pid-file", directory_ + "/pid", "c", "payload", "sleep", "100"}).code,
      0);
  EXPECT_TRUE(absl::StrContains(Run({"ps", "-f", "json", "c"}).out, Read("pid")));
  ASSERT_EQ(Run({"pause", "c"}).code, 0);
  // It waits in the frozen group.
  auto waiting = Start({"exec", "--ignore-paused", "c", "payload", "exit", "5"}, "waiting");
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  auto processes = [&] {
    const std::string pids = Run({"ps", "-f", "json", "c"}).out;
    return std::count(pids.begin(), pids.end(), ',') + 1;
  };
  while (processes() < 3 && absl::Now() < deadline) {
  }
  ASSERT_EQ(Run({"resume", "c"}).code, 0);
  auto ended = waiting->Wait(absl::Seconds(10));
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->ExitCode(), 5);
  EXPECT_TRUE(absl::StrContains(Run({"state", "c"}).out, "\"who\": \"me\""));
  EXPECT_EQ(Run({"kill", "--all", "c", "KILL"}).code, 0);
  EXPECT_TRUE(Becomes("stopped"));
  EXPECT_EQ(Run({"delete", "c"}).code, 0);
}

// CVE-2024-21626: no descriptor of the runtime's is a way out for a working directory.
TEST_F(RuntimeCliTest, AnExecsWorkingDirectoryStaysInside) {
  WriteConfig(R"("serve")");
  ASSERT_EQ(Run({"run", "-d", "-b", directory_, "c"}).code, 0);
  for (int fd = 3; fd < 14; ++fd) {
    const Result exec = Run({"exec", "--cwd", absl::StrCat("/proc/self/fd/", fd), "c", "payload",
                             "cwd", ";", "ls", ".."});
    if (exec.code != 0) continue;
    EXPECT_TRUE(absl::StartsWith(exec.out, "/\n")) << fd << exec.out;
    EXPECT_FALSE(absl::StrContains(exec.out, "boot\n")) << fd << exec.out;
  }
}

// CVE-2019-5736: a hostile container gets hold of the runtime's program while it enters, and writes
// to it when nobody runs it any more. Here it has every capability, and gets the runtime to execute
// its own program inside.
TEST_F(RuntimeCliTest, ItsProgramCannotBeOverwrittenFromInside) {
  program_ = directory_ + "/runtime";
  const std::string image = *ReadFile("shim/oci/berth-runtime");
  ASSERT_TRUE(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), program_, image, 0755, Durability::kUnsynced).ok());
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), directory_ + "/rootfs/bin/evil",
                            "#!/proc/self/exe --help\n", 0755, Durability::kUnsynced)
                  .ok());
  const std::string all =
      R"(["CAP_SYS_PTRACE","CAP_DAC_OVERRIDE","CAP_DAC_READ_SEARCH","CAP_SYS_ADMIN"])";
  WriteConfig(R"("hunt")", absl::StrCat(R"("capabilities":{"bounding":)", all, R"(,"permitted":)",
                                        all, R"(,"effective":)", all, "},"));
  const Result started = Run({"run", "-d", "-b", directory_, "c"});
  ASSERT_EQ(started.code, 0) << started.out;
  // Its output goes on into the file of the command that started it.
  ASSERT_EQ(::rename((directory_ + "/output").c_str(), (directory_ + "/hunt").c_str()), 0);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  int entered = 0;
  while (!absl::StrContains(Read("hunt"), "held\n") && absl::Now() < deadline) {
    Run({"exec", "c", "/bin/evil"});
    Run({"exec", "c", "/proc/self/exe", "features"});
    ++entered;
  }
  EXPECT_TRUE(absl::StrContains(Read("hunt"), "held\n")) << "the attack did not come to pass";
  for (int i = 0; i < 10; ++i) Run({"exec", "c", "/bin/evil"});
  EXPECT_FALSE(absl::StrContains(Read("hunt"), "overwritten")) << Read("hunt");
  EXPECT_EQ(Run({"delete", "-f", "c"}).code, 0);
  EXPECT_TRUE(*ReadFile(program_) == image) << "the runtime's program has changed";
}

TEST_F(RuntimeCliTest, DebugTellsWhereTheTimeWent) {
  WriteConfig(R"("true")");
  ASSERT_EQ(Run({"--debug", "run", "-b", directory_, "c"}).code, 0);
  const std::string log = *ReadFile(directory_ + "/log");
  EXPECT_TRUE(absl::StrContains(log, "\"level\":\"debug\"")) << log;
  for (const char* step : {"create took, in ms: ", "parse config.json ", "clone ", "start took"}) {
    EXPECT_TRUE(absl::StrContains(log, step)) << log;
  }
}

TEST_F(RuntimeCliTest, ItsOwnSpecificationRuns) {
  ASSERT_EQ(Run({"spec", "-b", directory_}).code, 0);
  EXPECT_EQ(Run({"spec", "-b", directory_}).code, 1);
  std::string text = *ReadFile(directory_ + "/config.json");
  const size_t at = text.find("\"sh\"");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 4, "\"/bin/payload\",\"echo\",\"spec\"");
  text.replace(text.find("\"terminal\": true"), 16, "\"terminal\": false");
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), directory_ + "/config.json", text, 0644,
                            Durability::kUnsynced)
                  .ok());
  EXPECT_EQ(Run({"run", "-b", directory_, "c"}).out, "spec\n");
}

TEST_F(RuntimeCliTest, TellsWhatItCanDoAndWhatNot) {
  auto features = json::Document::Parse(Run({"features"}).out);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_EQ(features->root().Find("hooks").size(), 6u);
  EXPECT_EQ(features->root().Find("ociVersionMax").text(), "1.3.0");
  Result unknown = Run({"frobnicate"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_TRUE(absl::StrContains(Run({"create"}).out, "requires exactly 1 argument"));
  EXPECT_TRUE(absl::StrContains(Run({"state", "a", "b"}).out, "requires exactly 1 argument"));
  EXPECT_TRUE(absl::StrContains(Run({"kill", "a", "TERM", "c"}).out, "requires a maximum of 2"));
  EXPECT_EQ(Run({"list", "-f", "json"}).out, "null\n");
  EXPECT_TRUE(absl::StrContains(unknown.out, "no such command: frobnicate")) << unknown.out;
  EXPECT_TRUE(absl::StrContains(Run({"checkpoint", "c"}).out, "not available"));
  EXPECT_TRUE(absl::StrContains(Run({"create", "../x"}).out, "invalid container ID format"));
  EXPECT_TRUE(absl::StrContains(Run({"--version"}).out, "berth-runtime version"));
}

}  // namespace
}  // namespace berth::oci
