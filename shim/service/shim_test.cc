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
#include "shim/service/shim_fixture.h"

namespace berth::service {
namespace {

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
  RunTask("trap 'exit 5' TERM; echo > /tmp/ready; while :; do sleep 0.02; done");
  ASSERT_TRUE(RunUntil([&] { return events_.size() == 2; }));
  // The kernel drops a signal that the first process of a pid namespace does not handle yet.
  const std::string ready = absl::StrCat(bundle_, "/rootfs/tmp/ready");
  ASSERT_TRUE(RunUntil([&] { return ::access(ready.c_str(), F_OK) == 0; }));
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
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps what is freed, for its checks: memory grows there";
#endif
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
