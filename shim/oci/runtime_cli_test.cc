// berth-runtime as its callers use it: one process for each command.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
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

  Result Run(std::vector<std::string> arguments) {
    SpawnOptions options;
    options.executable = "shim/oci/berth-runtime";
    options.arguments = {
        "berth-runtime", "--root", directory_ + "/state", "--log", directory_ + "/log",
        "--log-format",  "json"};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    // A file, because a container in the background keeps its end of a pipe.
    const std::string output = directory_ + "/output";
    UniqueFd file = *OpenFile(output, O_RDWR | O_CREAT | O_TRUNC, 0600);
    options.descriptors = {{1, file.get()}, {2, file.get()}};
    auto child = Spawn(options);
    Result result;
    EXPECT_TRUE(child.ok()) << child.status();
    if (!child.ok()) return result;
    auto ended = child->Wait(absl::Seconds(30));
    EXPECT_TRUE(ended.ok()) << ended.status();
    if (ended.ok()) result.code = ended->ExitCode();
    result.out = *ReadFile(output);
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

  std::string directory_;
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
  const UniqueFd connection(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(connection.valid());
  char name[64];
  struct iovec part = {name, sizeof(name)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ASSERT_GT(::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC), 0);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  ASSERT_NE(header, nullptr);
  int fd = -1;
  ::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  const UniqueFd master(fd);
  ASSERT_EQ(Run({"start", "c"}).code, 0);
  char text[512] = "";
  ASSERT_GT(::read(master.get(), text, sizeof(text) - 1), 0);
  EXPECT_TRUE(absl::StrContains(text, "tty=/dev/pts/0")) << text;
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
