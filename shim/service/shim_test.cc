// The built berth-shim as a process, driven over ttrpc the way a daemon does, with real containers.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/journal/journal.h"
#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/ttrpc/client.h"
#include "base/ttrpc/server.h"
#include "google/protobuf/empty.pb.h"
#include "gtest/gtest.h"
#include "proto/containerd/events/task.pb.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "proto/containerd/services/ttrpc/events/v1/events.pb.h"
#include "proto/containerd/task/v2/task.pb.h"

namespace berth::service {
namespace {

namespace v2 = containerd::task::v2;
using containerd::services::events::ttrpc::v1::ForwardRequest;
using containerd::v1::types::Status;
using google::protobuf::Empty;
using Names = std::vector<std::string>;

constexpr char kShim[] = "shim/berth-shim";
constexpr char kBusybox[] = "/bin/busybox";

constexpr char kConfig[] = R"({
  "ociVersion": "1.0.2",
  "process": {
    "terminal": @TERMINAL@, "user": {"uid": 0, "gid": 0}, "cwd": "/",
    "args": ["/bin/busybox", "sh", "-c", "@SCRIPT@"],
    "env": ["PATH=/bin"]
  },
  "root": {"path": "rootfs"},
  "hostname": "inside",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}
  ],
  "linux": {
    "cgroupsPath": "@CGROUP@",
    "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]
  }
})";

constexpr char kExec[] = R"({
  "terminal": @TERMINAL@, "user": {"uid": 0, "gid": 0}, "cwd": "/",
  "args": ["/bin/busybox", "sh", "-c", "@SCRIPT@"], "env": ["PATH=/bin"]
})";

std::string Fill(absl::string_view text, absl::string_view script, bool terminal,
                 absl::string_view cgroup = "") {
  return absl::StrReplaceAll(
      text,
      {{"@SCRIPT@", script}, {"@TERMINAL@", terminal ? "true" : "false"}, {"@CGROUP@", cgroup}});
}

class ShimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: containers are made";
    ::signal(SIGPIPE, SIG_IGN);
    loop_ = *Loop::Create();
    directory_ = "/tmp/berth-shim-test.XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    cgroup_ = absl::StrCat("/berth-shim-test-", ::getpid());
    bundle_ = absl::StrCat(directory_, "/io.containerd.runtime.v2.task/ns/c");
    ASSERT_TRUE(EnsureDirectory(absl::StrCat(bundle_, "/rootfs/bin"), 0755).ok());
    for (const char* name : {"proc", "dev", "tmp"}) {
      ASSERT_TRUE(EnsureDirectory(absl::StrCat(bundle_, "/rootfs/", name), 0755).ok());
    }
    ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(bundle_, "/rootfs/bin/busybox"),
                              *ReadFile(kBusybox), 0755, Durability::kUnsynced)
                    .ok());
    StartDaemon();
  }
  void TearDown() override {
    if (loop_ == nullptr) return;
    client_.reset();
    if (shim_.pid() > 0 && !shim_.Wait(absl::ZeroDuration()).ok()) {
      (void)shim_.Signal(SIGKILL);
      (void)shim_.Wait(absl::Seconds(5));
      RunDelete();
    }
    EXPECT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_).ok());
    for (const std::string& path : CgroupDirectories(cgroup_)) {
      EXPECT_EQ(::rmdir(path.c_str()), 0) << path;
    }
  }

  // --- the daemon's side
  void StartDaemon() {
    daemon_ = std::make_unique<ttrpc::Server>(*loop_);
    daemon_->Register("containerd.services.events.ttrpc.v1.Events", "Forward",
                      [this](ttrpc::Call call) {
                        ForwardRequest request;
                        EXPECT_TRUE(request.ParseFromString(call.payload()));
                        OnEvent(request.envelope());
                        call.Reply("");
                      });
    ASSERT_TRUE(
        daemon_->AddListener(*ListenUnix(absl::StrCat(directory_, "/daemon.ttrpc"), 0600, 8)).ok());
  }
  void OnEvent(const containerd::services::events::ttrpc::v1::Envelope& envelope) {
    EXPECT_EQ(envelope.namespace_(), "ns");
    std::string line = std::string(absl::StripPrefix(envelope.topic(), "/tasks/"));
    if (line == "exit") {
      containerd::events::TaskExit exit;
      EXPECT_EQ(envelope.event().type_url(), "containerd.events.TaskExit");
      EXPECT_TRUE(exit.ParseFromString(envelope.event().value()));
      EXPECT_EQ(exit.container_id(), "c");
      EXPECT_GT(exit.exited_at().seconds(), 1600000000);
      absl::StrAppend(&line, " ", exit.id(), " ", exit.exit_status());
    }
    events_.push_back(line);
  }

  void WriteConfig(absl::string_view script, bool terminal = false) {
    ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(bundle_, "/config.json"),
                              Fill(kConfig, script, terminal, absl::StrCat(cgroup_, "/c")), 0600,
                              Durability::kUnsynced)
                    .ok());
  }
  void StartShim() {
    const std::string socket = absl::StrCat(directory_, "/shim.sock");
    const UniqueFd listener = *ListenUnix(socket, 0600, 16);
    const UniqueFd bundle = *OpenFile(bundle_, O_RDONLY | O_DIRECTORY);
    const UniqueFd log = *OpenFile(absl::StrCat(directory_, "/shim.log"), O_WRONLY | O_CREAT, 0600);
    SpawnOptions spawn;
    spawn.executable = ShimPath();
    spawn.arguments = {"berth-shim", "-namespace", "ns", "-id", "c", "-debug"};
    spawn.environment = {absl::StrCat("TTRPC_ADDRESS=", directory_, "/daemon.ttrpc"),
                         "BERTH_SHIM_FD=3"};
    spawn.descriptors = {{2, log.get()}, {3, listener.get()}, {4, bundle.get()}};
    spawn.working_directory = bundle_;
    spawn.session = SpawnOptions::Session::kNew;
    auto shim = Spawn(spawn);
    ASSERT_TRUE(shim.ok()) << shim.status();
    shim_ = *std::move(shim);
    Connect();
  }
  void Connect() {
    client_ = std::make_unique<ttrpc::Client>(
        *loop_, *ConnectUnix(absl::StrCat(directory_, "/shim.sock")), [](const absl::Status&) {});
  }
  std::string ShimPath() {
    char buffer[4096];
    EXPECT_NE(::getcwd(buffer, sizeof(buffer)), nullptr);
    return absl::StrCat(buffer, "/", kShim);
  }
  std::string ShimLog() { return *ReadFile(absl::StrCat(directory_, "/shim.log")); }

  template <typename Condition>
  bool RunUntil(Condition done, absl::Duration limit = absl::Seconds(20)) {
    const absl::Time deadline = absl::Now() + limit;
    while (absl::Now() < deadline) {
      if (done()) return true;
      EXPECT_TRUE(loop_->RunOnce(absl::Milliseconds(10)).ok());
    }
    return false;
  }

  template <typename Response>
  using Result = std::optional<absl::StatusOr<Response>>;

  template <typename Response, typename Request>
  std::shared_ptr<Result<Response>> Send(const char* method, const Request& request) {
    auto result = std::make_shared<Result<Response>>();
    client_->Call("containerd.task.v2.Task", method, request.SerializeAsString(), {},
                  absl::Seconds(60), [result](absl::StatusOr<std::string> payload) {
                    if (!payload.ok()) {
                      *result = payload.status();
                      return;
                    }
                    Response response;
                    EXPECT_TRUE(response.ParseFromString(*payload));
                    *result = std::move(response);
                  });
    return result;
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(const char* method, const Request& request) {
    const auto result = Send<Response>(method, request);
    if (!RunUntil([&] { return result->has_value(); })) {
      return absl::InternalError(absl::StrCat("no answer to ", method, "; log: ", ShimLog()));
    }
    return **result;
  }

  // --- verbs
  template <typename Request>
  static Request Of(const std::string& exec_id = "") {
    Request request;
    request.set_id("c");
    if constexpr (requires { request.set_exec_id(exec_id); }) request.set_exec_id(exec_id);
    return request;
  }
  v2::CreateTaskRequest CreateRequest(const std::string& out = "", bool terminal = false) {
    v2::CreateTaskRequest request;
    request.set_id("c");
    request.set_bundle(bundle_);
    request.set_stdout(out);
    request.set_terminal(terminal);
    return request;
  }
  absl::StatusOr<v2::CreateTaskResponse> Create(const std::string& out = "",
                                                bool terminal = false) {
    return Call<v2::CreateTaskResponse>("Create", CreateRequest(out, terminal));
  }
  absl::StatusOr<v2::StartResponse> Start(const std::string& exec_id = "") {
    return Call<v2::StartResponse>("Start", Of<v2::StartRequest>(exec_id));
  }
  absl::StatusOr<v2::WaitResponse> Wait(const std::string& exec_id = "") {
    return Call<v2::WaitResponse>("Wait", Of<v2::WaitRequest>(exec_id));
  }
  // The exit status; -1 and a failure where there is none.
  int WaitStatus(const std::string& exec_id = "") {
    const auto response = Wait(exec_id);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? static_cast<int>(response->exit_status()) : -1;
  }
  absl::StatusOr<v2::DeleteResponse> Delete(const std::string& exec_id = "") {
    return Call<v2::DeleteResponse>("Delete", Of<v2::DeleteRequest>(exec_id));
  }
  absl::StatusOr<v2::StateResponse> State(const std::string& exec_id = "") {
    return Call<v2::StateResponse>("State", Of<v2::StateRequest>(exec_id));
  }
  absl::Status Kill(int signal, const std::string& exec_id = "") {
    auto request = Of<v2::KillRequest>(exec_id);
    request.set_signal(signal);
    return Call<Empty>("Kill", request).status();
  }
  absl::Status Exec(const std::string& exec_id, absl::string_view script,
                    const std::string& out = "", bool terminal = false) {
    auto request = Of<v2::ExecProcessRequest>(exec_id);
    request.set_stdout(out);
    request.set_terminal(terminal);
    request.mutable_spec()->set_type_url(
        "types.containerd.io/opencontainers/runtime-spec/1/Process");
    request.mutable_spec()->set_value(Fill(kExec, script, terminal));
    return Call<Empty>("Exec", request).status();
  }
  void RunTask(absl::string_view script) {
    WriteConfig(script);
    StartShim();
    const auto created = Create();
    ASSERT_TRUE(created.ok()) << created.status();
    const auto started = Start();
    ASSERT_TRUE(started.ok()) << started.status();
    EXPECT_EQ(started->pid(), created->pid());
  }
  void KillAndDelete() {
    EXPECT_TRUE(Kill(SIGKILL).ok());
    EXPECT_TRUE(Wait().ok());
    const auto deleted = Delete();
    EXPECT_TRUE(deleted.ok()) << deleted.status();
  }
  // Runs the shim's `delete` command and parses what it prints.
  v2::DeleteResponse RunDelete() {
    Pipe output = *MakePipe();
    SpawnOptions spawn;
    spawn.executable = ShimPath();
    spawn.arguments = {"berth-shim", "-namespace", "ns", "-id", "c", "-bundle", bundle_, "delete"};
    spawn.descriptors = {{1, output.write.get()}, {2, STDERR_FILENO}};
    ChildProcess child = *Spawn(spawn);
    output.write.Reset();
    const std::string text = *ReadAll(output.read, 4096);
    EXPECT_EQ(child.Wait(absl::Seconds(30))->ExitCode(), 0);
    v2::DeleteResponse response;
    EXPECT_TRUE(response.ParseFromString(text));
    return response;
  }

  // --- observation
  std::string MakeFifo(absl::string_view name) {
    const std::string path = absl::StrCat(directory_, "/", name);
    EXPECT_EQ(::mkfifo(path.c_str(), 0700), 0);
    return path;
  }
  std::string ReadToEnd(const UniqueFd& fd) {
    std::string text;
    bool ended = false;
    RunUntil([&] {
      char buffer[4096];
      const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
      if (got > 0) text.append(buffer, got);
      ended = got == 0;
      return ended;
    });
    EXPECT_TRUE(ended) << "no end of output after: " << text;
    return text;
  }
  // The directories of the container's group, or of another, in any hierarchy.
  Names CgroupDirectories() { return CgroupDirectories(absl::StrCat(cgroup_, "/c")); }
  static Names CgroupDirectories(absl::string_view group) {
    Names found;
    const UniqueFd root = *OpenFile("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
    Names places = *ListDirectory(root);
    places.push_back(".");
    for (const std::string& place : places) {
      const std::string path = absl::StrCat("/sys/fs/cgroup/", place, group);
      if (::access(path.c_str(), F_OK) == 0) found.push_back(path);
    }
    return found;
  }
  static bool Alive(pid_t pid) { return ::kill(pid, 0) == 0; }
  // Without the program's own pages: they are shared as soon as there are two shims.
  static int64_t PrivateKilobytes(pid_t pid) {
    int64_t total = 0;
    const std::string text = *ReadFile(absl::StrCat("/proc/", pid, "/smaps_rollup"));
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!absl::StartsWith(line, "Private_Dirty:")) continue;
      const Names words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      int64_t value = 0;
      if (absl::SimpleAtoi(words[1], &value)) total += value;
    }
    return total;
  }

  std::unique_ptr<Loop> loop_;
  std::string directory_, cgroup_, bundle_;
  std::unique_ptr<ttrpc::Server> daemon_;
  std::unique_ptr<ttrpc::Client> client_;
  ChildProcess shim_;
  Names events_;
};

TEST_F(ShimTest, LifeOfATaskFromCreateToTheEndOfTheShim) {
  WriteConfig("echo hello from $HOSTNAME; exit 3");
  StartShim();
  const std::string fifo = MakeFifo("out");
  const UniqueFd out = *OpenFile(fifo, O_RDONLY | O_NONBLOCK);
  const auto created = Create(fifo);
  ASSERT_TRUE(created.ok()) << created.status() << ShimLog();
  EXPECT_TRUE(Alive(created->pid()));
  const auto state = State();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->status(), Status::CREATED);
  EXPECT_EQ(state->pid(), created->pid());
  EXPECT_EQ(state->stdout(), fifo);
  EXPECT_EQ(*ReadFile(absl::StrCat(bundle_, "/init.pid")), absl::StrCat(created->pid()));
  const auto waiting = Send<v2::WaitResponse>("Wait", Of<v2::WaitRequest>());
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(absl::StartsWith(ReadToEnd(out), "hello from"));
  ASSERT_TRUE(RunUntil([&] { return waiting->has_value(); }));
  EXPECT_EQ((**waiting)->exit_status(), 3u);
  EXPECT_EQ(State()->status(), Status::STOPPED);
  EXPECT_EQ(Kill(SIGTERM), absl::NotFoundError("process already finished"));
  // Refused without a word.
  EXPECT_TRUE(Call<Empty>("Shutdown", Of<v2::ShutdownRequest>()).ok());
  const auto deleted = Delete();
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->exit_status(), 3u);
  EXPECT_EQ(deleted->pid(), created->pid());
  EXPECT_EQ(deleted->exited_at().seconds(), (**waiting)->exited_at().seconds());
  EXPECT_EQ(Delete().status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(CgroupDirectories().empty());
  // It ends by itself.
  ASSERT_TRUE(RunUntil([&] { return shim_.Wait(absl::ZeroDuration()).ok(); }));
  EXPECT_EQ(events_, (Names{"create", "start", "exit c 3", "delete"}));
}

TEST_F(ShimTest, VerbsInTheWrongPlaceGetTheirCode) {
  WriteConfig("sleep 100");
  StartShim();
  EXPECT_EQ(State().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Start().status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Create().ok());
  EXPECT_EQ(Create().status().code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Start().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Delete().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Wait("none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Call<Empty>("Checkpoint", Of<v2::CheckpointTaskRequest>()).status().code(),
            absl::StatusCode::kUnimplemented);
  auto unknown = CreateRequest();
  unknown.set_id("d");
  unknown.set_checkpoint("x");
  EXPECT_EQ(Call<v2::CreateTaskResponse>("Create", unknown).status().code(),
            absl::StatusCode::kUnimplemented);
  const auto connected = Call<v2::ConnectResponse>("Connect", Of<v2::ConnectRequest>());
  ASSERT_TRUE(connected.ok());
  EXPECT_EQ(connected->shim_pid(), static_cast<uint32_t>(shim_.pid()));
  EXPECT_EQ(connected->task_pid(), State()->pid());
  KillAndDelete();
}

TEST_F(ShimTest, SignalGives128AndItsNumber) {
  RunTask("sleep 100");
  EXPECT_TRUE(Kill(SIGKILL).ok());
  EXPECT_EQ(WaitStatus(), 137);
  EXPECT_EQ(Delete()->exit_status(), 137u);
}

TEST_F(ShimTest, MissingProgramIsSaidInTheWordsThatDockerLooksFor) {
  WriteConfig("true");
  const std::string path = absl::StrCat(bundle_, "/config.json");
  std::string config = absl::StrReplaceAll(*ReadFile(path), {{"/bin/busybox", "nosuchprogram"}});
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, config, 0600, Durability::kUnsynced).ok());
  StartShim();
  absl::Status status = Create().status();
  if (status.ok()) status = Start().status();
  EXPECT_TRUE(absl::StrContains(status.message(), "executable file not found in $PATH")) << status;
}

TEST_F(ShimTest, MalformedConfigFailsCreateAndLeavesNothing) {
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(bundle_, "/config.json"),
                            R"({"ociVersion": "1.0.2", "process": {"args": 5}})", 0600,
                            Durability::kUnsynced)
                  .ok());
  StartShim();
  EXPECT_EQ(Create().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(State().status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(CgroupDirectories().empty());
  ASSERT_TRUE(RunUntil([&] { return shim_.Wait(absl::ZeroDuration()).ok(); }));
}

TEST_F(ShimTest, ExecHasALifeOfItsOwn) {
  RunTask("sleep 100");
  const std::string fifo = MakeFifo("exec-out");
  const UniqueFd out = *OpenFile(fifo, O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(Exec("e", "echo inside $$; exit 7", fifo).ok());
  EXPECT_EQ(Exec("e", "true").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(State("e")->status(), Status::CREATED);
  EXPECT_EQ(Kill(SIGKILL, "e").code(), absl::StatusCode::kFailedPrecondition);
  const auto started = Start("e");
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(WaitStatus("e"), 7);
  EXPECT_TRUE(absl::StartsWith(ReadToEnd(out), "inside"));
  EXPECT_EQ(Kill(SIGKILL, "e").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete("e")->exit_status(), 7u);
  EXPECT_EQ(State("e").status().code(), absl::StatusCode::kNotFound);
  KillAndDelete();
  ASSERT_TRUE(RunUntil([&] { return events_.size() == 7; }));
  EXPECT_EQ(events_, (Names{"create", "start", "exec-added", "exec-started", "exit e 7",
                            "exit c 137", "delete"}));
}

TEST_F(ShimTest, ExitOfInitIsToldAfterThoseOfItsExecs) {
  RunTask("sleep 100");
  for (const char* id : {"e", "f"}) {
    ASSERT_TRUE(Exec(id, "sleep 100").ok());
    ASSERT_TRUE(Start(id).ok());
  }
  ASSERT_TRUE(Exec("never", "true").ok());
  ASSERT_TRUE(Kill(SIGKILL).ok());
  EXPECT_EQ(WaitStatus(), 137);
  EXPECT_EQ(Start("never").status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(RunUntil([&] { return events_.size() == 10; }));
  EXPECT_EQ(events_.back(), "exit c 137");
  ASSERT_TRUE(Delete().ok());
}

TEST_F(ShimTest, FailedExecIsStoppedAndSilent) {
  RunTask("sleep 100");
  auto request = Of<v2::ExecProcessRequest>("bad");
  request.mutable_spec()->set_value(
      R"({"cwd": "/", "args": ["/no/such/file"], "user": {"uid": 0, "gid": 0}})");
  ASSERT_TRUE(Call<Empty>("Exec", request).ok());
  const absl::Status status = Start("bad").status();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), "no such file or directory")) << status;
  EXPECT_EQ(State("bad")->status(), Status::STOPPED);
  ASSERT_TRUE(Delete("bad").ok());
  KillAndDelete();
  ASSERT_TRUE(RunUntil([&] { return events_.size() == 5; }));
  EXPECT_EQ(events_, (Names{"create", "start", "exec-added", "exit c 137", "delete"}));
}

TEST_F(ShimTest, TerminalHasTheSizeThatWasAskedFor) {
  WriteConfig("sleep 0.3; stty size; read x; echo got $x", true);
  StartShim();
  const std::string out_path = MakeFifo("out"), in_path = MakeFifo("in");
  const UniqueFd out = *OpenFile(out_path, O_RDONLY | O_NONBLOCK);
  auto request = CreateRequest(out_path, true);
  request.set_stdin(in_path);
  request.set_stderr(absl::StrCat(directory_, "/never-made"));
  const auto created = Call<v2::CreateTaskResponse>("Create", request);
  ASSERT_TRUE(created.ok()) << created.status();
  auto resize = Of<v2::ResizePtyRequest>();
  resize.set_width(132);
  resize.set_height(43);
  EXPECT_TRUE(Call<Empty>("ResizePty", resize).ok());
  ASSERT_TRUE(Start().ok());
  const UniqueFd in = *OpenFile(in_path, O_WRONLY);
  ASSERT_TRUE(WriteAll(in, "word\n").ok());
  EXPECT_EQ(WaitStatus(), 0);
  const std::string text = ReadToEnd(out);
  EXPECT_TRUE(absl::StrContains(text, "43 132\r\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "got word\r\n")) << text;
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimTest, ExecWithATerminalKeepsIt) {
  RunTask("sleep 100");
  const std::string fifo = MakeFifo("out");
  const UniqueFd out = *OpenFile(fifo, O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(Exec("t", "sleep 0.3; stty size; tty", fifo, true).ok());
  const auto started = Start("t");
  ASSERT_TRUE(started.ok()) << started.status();
  auto resize = Of<v2::ResizePtyRequest>("t");
  resize.set_width(120);
  resize.set_height(40);
  const auto resized = Call<Empty>("ResizePty", resize);
  EXPECT_TRUE(resized.ok()) << resized.status();
  EXPECT_EQ(WaitStatus("t"), 0);
  const std::string text = ReadToEnd(out);
  EXPECT_TRUE(absl::StrContains(text, "40 120\r\n/dev/pts/")) << text;
  EXPECT_TRUE(Delete("t").ok());
  KillAndDelete();
}

TEST_F(ShimTest, InputEndsWithCloseIO) {
  WriteConfig("cat; echo end");
  StartShim();
  const std::string out_path = MakeFifo("out"), in_path = MakeFifo("in");
  const UniqueFd out = *OpenFile(out_path, O_RDONLY | O_NONBLOCK);
  auto request = CreateRequest(out_path);
  request.set_stdin(in_path);
  ASSERT_TRUE(Call<v2::CreateTaskResponse>("Create", request).ok());
  UniqueFd in = *OpenFile(in_path, O_WRONLY);
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(WriteAll(in, "text\n").ok());
  in.Reset();
  auto close = Of<v2::CloseIORequest>();
  close.set_stdin(true);
  ASSERT_TRUE(Call<Empty>("CloseIO", close).ok());
  EXPECT_EQ(ReadToEnd(out), "text\nend\n");
  EXPECT_TRUE(Wait().ok());
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimTest, KillCancelsACreateThatHangs) {
  WriteConfig("true");
  StartShim();
  // Nobody ever reads it.
  const auto creating = Send<v2::CreateTaskResponse>("Create", CreateRequest(MakeFifo("out")));
  const auto state = State();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->status(), Status::UNKNOWN);
  EXPECT_FALSE(creating->has_value());
  EXPECT_TRUE(Kill(SIGKILL).ok());
  ASSERT_TRUE(RunUntil([&] { return creating->has_value(); }, absl::Seconds(5)));
  EXPECT_EQ((*creating)->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(State().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ShimTest, KillCancelsACreateWhoseHookHangs) {
  WriteConfig("true");
  const std::string path = absl::StrCat(bundle_, "/config.json");
  std::string config = *ReadFile(path);
  config.insert(
      config.rfind('}'),
      R"(, "hooks": {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"]}]})");
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, config, 0600, Durability::kUnsynced).ok());
  StartShim();
  const auto creating = Send<v2::CreateTaskResponse>("Create", CreateRequest());
  ASSERT_TRUE(RunUntil([&] { return !CgroupDirectories().empty(); }));
  EXPECT_EQ(State()->status(), Status::UNKNOWN);
  EXPECT_TRUE(Kill(SIGKILL).ok());
  ASSERT_TRUE(RunUntil([&] { return creating->has_value(); }, absl::Seconds(10)));
  EXPECT_EQ((*creating)->status().code(), absl::StatusCode::kCancelled) << (*creating)->status();
  EXPECT_TRUE(CgroupDirectories().empty());
}

TEST_F(ShimTest, DeleteOfACreatedTaskKillsItFirst) {
  WriteConfig("true");
  StartShim();
  const auto created = Create();
  ASSERT_TRUE(created.ok());
  const auto deleted = Delete();
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->exit_status(), 137u);
  EXPECT_FALSE(Alive(created->pid()));
}

TEST_F(ShimTest, PauseStopsTheProcessesAndKillStillWorks) {
  RunTask("while :; do sleep 0.01; done");
  ASSERT_TRUE(Call<Empty>("Pause", Of<v2::PauseRequest>()).ok());
  EXPECT_EQ(State()->status(), Status::PAUSED);
  EXPECT_EQ(Call<Empty>("Pause", Of<v2::PauseRequest>()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Call<Empty>("Resume", Of<v2::ResumeRequest>()).ok());
  EXPECT_EQ(State()->status(), Status::RUNNING);
  ASSERT_TRUE(Call<Empty>("Pause", Of<v2::PauseRequest>()).ok());
  EXPECT_TRUE(Kill(SIGKILL).ok());
  EXPECT_EQ(WaitStatus(), 137);
  EXPECT_TRUE(Delete().ok());
  ASSERT_TRUE(RunUntil([&] { return !events_.empty() && events_.back() == "delete"; }));
  EXPECT_EQ(events_,
            (Names{"create", "start", "paused", "resumed", "paused", "exit c 137", "delete"}));
}

TEST_F(ShimTest, PidsNameTheirExecAndStatsAreThere) {
  RunTask("sleep 100");
  ASSERT_TRUE(Exec("e", "sleep 100").ok());
  const uint32_t exec_pid = Start("e")->pid();
  const auto pids = Call<v2::PidsResponse>("Pids", Of<v2::PidsRequest>());
  ASSERT_TRUE(pids.ok()) << pids.status();
  std::map<uint32_t, std::string> names;
  for (const auto& process : pids->processes()) {
    containerd::runc::v1::ProcessDetails details;
    EXPECT_TRUE(details.ParseFromString(process.info().value()));
    names[process.pid()] = details.exec_id();
  }
  EXPECT_EQ(names[exec_pid], "e");
  ASSERT_TRUE(names.contains(State()->pid()));
  EXPECT_EQ(names[State()->pid()], "");
  const auto stats = Call<v2::StatsResponse>("Stats", Of<v2::StatsRequest>());
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_TRUE(absl::StartsWith(stats->stats().type_url(), "io.containerd.cgroups.v"));
  EXPECT_FALSE(stats->stats().value().empty());
  auto update = Of<v2::UpdateTaskRequest>();
  update.mutable_resources()->set_value(R"({"pids": {"limit": 50}})");
  const auto updated = Call<Empty>("Update", update);
  EXPECT_TRUE(updated.ok()) << updated.status();
  KillAndDelete();
}

TEST_F(ShimTest, LostShimIsCleanedUpByDelete) {
  RunTask("sleep 100");
  const pid_t pid = State()->pid();
  ASSERT_TRUE(shim_.Signal(SIGKILL).ok());
  ASSERT_TRUE(shim_.Wait(absl::Seconds(5)).ok());
  const v2::DeleteResponse response = RunDelete();
  EXPECT_EQ(response.exit_status(), 137u);
  EXPECT_EQ(response.pid(), static_cast<uint32_t>(pid));
  EXPECT_FALSE(Alive(pid));
  EXPECT_TRUE(CgroupDirectories().empty());
  EXPECT_EQ(RunDelete().exit_status(), 137u);  // again
}

TEST_F(ShimTest, ExitWhileTheDaemonIsAwayIsKeptAndTold) {
  RunTask("trap 'exit 5' TERM; while :; do sleep 0.02; done");
  ASSERT_TRUE(RunUntil([&] { return events_.size() == 2; }));
  const pid_t pid = State()->pid();
  daemon_.reset();
  client_.reset();
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  ASSERT_TRUE(RunUntil([&] {
    const auto state = journal::ReadJournal(bundle_);
    return state.ok() && state->init.stage == journal::Stage::kExited;
  }));
  EXPECT_FALSE(journal::ReadJournal(bundle_)->init.exit_announced);
  StartDaemon();
  Connect();
  ASSERT_TRUE(RunUntil([&] { return events_.size() == 3; }));
  EXPECT_EQ(events_[2], "exit c 5");
  ASSERT_TRUE(RunUntil([&] { return journal::ReadJournal(bundle_)->init.exit_announced; }));
  EXPECT_EQ(WaitStatus(), 5);
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimTest, LostShimWithARecordedExitReportsTheTrueStatus) {
  RunTask("exit 9");
  EXPECT_EQ(WaitStatus(), 9);
  ASSERT_TRUE(shim_.Signal(SIGKILL).ok());
  ASSERT_TRUE(shim_.Wait(absl::Seconds(5)).ok());
  EXPECT_EQ(RunDelete().exit_status(), 9u);
}

TEST_F(ShimTest, ExecsLeaveNoMemoryBehind) {
  RunTask("sleep 1000");
  const auto run_execs = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(Exec("e", "exit 0").ok());
      const auto started = Start("e");
      ASSERT_TRUE(started.ok()) << started.status();
      ASSERT_EQ(WaitStatus("e"), 0);
      ASSERT_TRUE(Delete("e").ok());
    }
  };
  run_execs(20);
  const int64_t before = PrivateKilobytes(shim_.pid());
  run_execs(100);
  const int64_t after = PrivateKilobytes(shim_.pid());
  EXPECT_LE(after, before + 16) << "KB after 100 execs";
  RecordProperty("private_kilobytes", static_cast<int>(after));
  EXPECT_LT(after, 350);
  KillAndDelete();
}

TEST_F(ShimTest, TheShimHasOneThreadAndCannotBeDumped) {
  RunTask("sleep 100");
  const std::string status = *ReadFile(absl::StrCat("/proc/", shim_.pid(), "/status"));
  EXPECT_TRUE(absl::StrContains(status, "Threads:\t1\n")) << status;
  EXPECT_TRUE(absl::StartsWith(status, "Name:\tberth-shim\n")) << status;
  KillAndDelete();
}

}  // namespace
}  // namespace berth::service
