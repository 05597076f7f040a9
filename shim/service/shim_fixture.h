// The fixture of shim_test: the built berth-shim as a process, with a daemon's side of it in the
// test itself.
//
// One shim, one bundle, one loop; whatever is asked is answered before the call returns, at a
// deadline at the latest. All that it makes is gone after the test. Thread-compatible; tests only.
#ifndef BERTH_SHIM_SERVICE_SHIM_FIXTURE_H_
#define BERTH_SHIM_SERVICE_SHIM_FIXTURE_H_

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

namespace v2 = containerd::task::v2;
using containerd::services::events::ttrpc::v1::ForwardRequest;
using containerd::v1::types::Status;
using google::protobuf::Empty;
using Names = std::vector<std::string>;

inline constexpr char kShim[] = "shim/berth-shim";
inline constexpr char kBusybox[] = "/bin/busybox";

inline constexpr char kConfig[] = R"({
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

inline constexpr char kExec[] = R"({
  "terminal": @TERMINAL@, "user": {"uid": 0, "gid": 0}, "cwd": "/",
  "args": ["/bin/busybox", "sh", "-c", "@SCRIPT@"], "env": ["PATH=/bin"]
})";

inline std::string Fill(absl::string_view text, absl::string_view script, bool terminal,
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
      EXPECT_TRUE(exit.container_id() == "c" || exit.container_id() == second_id_);
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
  // One that has ended and that its parent, often process 1, has not reaped yet is not.
  static bool Alive(pid_t pid) {
    const auto stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
    return stat.ok() && !absl::StrContains(*stat, ") Z ");
  }
  // Memory of its own: the program's pages are shared as soon as there are two shims, and count as
  // private and dirty while their file has not reached the disk yet.
  static int64_t PrivateKilobytes(pid_t pid) {
    int64_t total = 0;
    const std::string text = *ReadFile(absl::StrCat("/proc/", pid, "/smaps_rollup"));
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!absl::StartsWith(line, "Anonymous:")) continue;
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
  std::string second_id_;  // of another task in the shim, if a test makes one
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_SHIM_FIXTURE_H_
