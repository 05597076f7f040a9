// The built berth-shim becomes itself again, in the same process, with real containers.
#include <dirent.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/attach/attach.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "shim/handover/envelope.h"
#include "shim/service/shim_fixture.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

class ShimUpgradeTest : public ShimTest {
 protected:
  template <typename Response, typename Request>
  absl::StatusOr<Response> Supervise(const char* method, const Request& request) {
    auto result = std::make_shared<Result<Response>>();
    client_->Call("berth.shim.v1.Supervisor", method, request.SerializeAsString(), {},
                  absl::Seconds(60), [result](absl::StatusOr<std::string> payload) {
                    if (!payload.ok()) {
                      *result = payload.status();
                      return;
                    }
                    Response response;
                    EXPECT_TRUE(response.ParseFromString(*payload));
                    *result = std::move(response);
                  });
    if (!RunUntil([&] { return result->has_value(); }, absl::Seconds(60))) {
      return absl::InternalError(absl::StrCat("no answer; log: ", ShimLog()));
    }
    return **result;
  }
  absl::Status Upgrade(const std::string& program,
                       absl::Duration check_timeout = absl::Seconds(30)) {
    v1::UpgradeRequest request;
    request.set_program(program);
    request.mutable_check_timeout()->set_seconds(absl::ToInt64Seconds(check_timeout));
    const auto answer = Supervise<v1::UpgradeResponse>("Upgrade", request);
    if (answer.ok()) {
      EXPECT_EQ(answer->old_version(), "0.1.0");
      EXPECT_EQ(answer->new_version(), "0.1.0");
    }
    return answer.status();
  }
  // What is under way on a busy machine makes the shim say "try again".
  void UpgradeWell() {
    const pid_t before = shim_.pid();
    absl::Status status;
    for (int i = 0; i < 20; ++i) {
      status = Upgrade(ShimPath());
      if (!absl::IsUnavailable(status)) break;
    }
    ASSERT_TRUE(status.ok()) << status << ShimLog();
    ++upgrades_;
    EXPECT_EQ(shim_.pid(), before);
    // It is a program that was told to take over.
    const std::string words = *ReadFile(absl::StrCat("/proc/", before, "/cmdline"));
    EXPECT_NE(words.find("-upgrade-take"), std::string::npos) << words;
  }
  std::string WriteProgram(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(directory_, "/", name);
    EXPECT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, text, 0755, Durability::kUnsynced).ok());
    return path;
  }
  std::vector<std::string> OpenDescriptors() {
    std::vector<std::string> names;
    const UniqueFd directory =
        *OpenFile(absl::StrCat("/proc/", shim_.pid(), "/fd"), O_RDONLY | O_DIRECTORY);
    const auto listed = ListDirectory(directory);
    EXPECT_TRUE(listed.ok()) << listed.status();
    for (const std::string& name : *listed) {
      char target[256];
      const ssize_t size = ::readlinkat(directory.get(), name.c_str(), target, sizeof(target));
      names.push_back(absl::StrCat(name, " ", absl::string_view(target, size < 0 ? 0 : size)));
    }
    return names;
  }
  v1::GetStatusResponse GetStatus() {
    v1::GetStatusRequest request;
    request.set_id("c");
    const auto status = Supervise<v1::GetStatusResponse>("GetStatus", request);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.value_or(v1::GetStatusResponse());
  }
  int upgrades_ = 0;
};

TEST_F(ShimUpgradeTest, AWaitInFlightIsAnsweredByTheNewProgram) {
  RunTask("trap 'exit 7' TERM; while sleep 0.05; do :; done");
  const auto wait = Send<v2::WaitResponse>("Wait", Of<v2::WaitRequest>());
  const auto before = State();
  UpgradeWell();
  const auto after = State();
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(after->pid(), before->pid());
  EXPECT_EQ(after->status(), Status::RUNNING);
  EXPECT_FALSE(wait->has_value());
  UpgradeWell();
  EXPECT_TRUE(Kill(SIGTERM).ok());
  ASSERT_TRUE(RunUntil([&] { return wait->has_value(); })) << ShimLog();
  ASSERT_TRUE((*wait)->ok()) << (*wait)->status();
  EXPECT_EQ((**wait)->exit_status(), 7u);
  EXPECT_TRUE(Delete().ok());
  EXPECT_TRUE(RunUntil([&] { return events_.size() == 4; }));
  EXPECT_EQ(events_, (Names{"create", "start", "exit c 7", "delete"}));
  EXPECT_TRUE(CgroupDirectories().empty());
  EXPECT_TRUE(shim_.Wait(absl::Seconds(20)).ok()) << "it ends with its last task";
}

TEST_F(ShimUpgradeTest, NoByteOfTheOutputIsLostOrRepeated) {
  const std::string fifo = MakeFifo("out");
  WriteConfig("/bin/busybox seq 1 400000; exit 3");
  StartShim();
  const UniqueFd reader = *OpenFile(fifo, O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(Create(fifo).ok());
  ASSERT_TRUE(Start().ok());
  std::string text;
  bool ended = false;
  const auto read = [&](size_t enough) {
    char buffer[4096];
    while (text.size() < enough) {
      const ssize_t got = ::read(reader.get(), buffer, sizeof(buffer));
      if (got > 0) text.append(buffer, got);
      ended = got == 0;
      if (got <= 0) break;
    }
    return ended || text.size() >= enough;
  };
  for (int i = 1; i <= 6; ++i) {
    ASSERT_TRUE(RunUntil([&] { return read(static_cast<size_t>(i) * 200'000); }));
    UpgradeWell();
  }
  ASSERT_TRUE(RunUntil([&] { return read(~size_t{0}); }, absl::Seconds(60))) << text.size();
  std::string expected;
  for (int i = 1; i <= 400000; ++i) absl::StrAppend(&expected, i, "\n");
  EXPECT_EQ(text.size(), expected.size());
  EXPECT_TRUE(text == expected);
  EXPECT_EQ(WaitStatus(), 3);
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimUpgradeTest, AnAttachedClientThatTakesLittleGetsEveryByte) {
  WriteConfig("read go; /bin/busybox seq 1 60000; exit 4");
  StartShim();
  auto request = CreateRequest("berth-attach://");
  request.set_stdin("berth-attach://?once=true");
  ASSERT_TRUE(Call<v2::CreateTaskResponse>("Create", request).ok());
  const UniqueFd client = *ConnectUnix(absl::StrCat(bundle_, "/attach"), SOCK_NONBLOCK);
  ASSERT_TRUE(WriteAll(client, *attach::EncodeHello({.input = true, .lossless = true})).ok());
  ASSERT_TRUE(Start().ok());
  UpgradeWell();  // the client is greeted, or about to be
  ASSERT_TRUE(WriteAll(client, "go\n").ok());
  attach::FrameReader frames;
  std::string text;
  bool ended = false;
  const auto read = [&](size_t enough) {
    while (text.size() < enough && !ended) {
      char buffer[4096];
      const ssize_t got = ::recv(client.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got <= 0) break;
      frames.Add(absl::string_view(buffer, got));
      while (true) {
        const auto frame = frames.Next();
        EXPECT_TRUE(frame.ok());
        if (!frame->has_value()) break;
        EXPECT_NE((*frame)->type, attach::FrameType::kDropped);
        if ((*frame)->type == attach::FrameType::kOutput) text += (*frame)->payload;
        ended = ended || (*frame)->type == attach::FrameType::kEnded;
      }
    }
    return ended || text.size() >= enough;
  };
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(RunUntil([&] { return read(static_cast<size_t>(i) * 50'000); })) << text.size();
    UpgradeWell();
  }
  ASSERT_TRUE(RunUntil([&] { return read(~size_t{0}); })) << text.size();
  std::string expected;
  for (int i = 1; i <= 60000; ++i) absl::StrAppend(&expected, i, "\n");
  EXPECT_TRUE(text == expected) << text.size() << " of " << expected.size();
  EXPECT_EQ(WaitStatus(), 4);
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimUpgradeTest, ATerminalAndItsSizeGoOn) {
  const std::string fifo = MakeFifo("out");
  const std::string in = MakeFifo("in");
  WriteConfig("read a; /bin/busybox stty size; read b; echo got $a $b; exit 6", true);
  StartShim();
  const UniqueFd reader = *OpenFile(fifo, O_RDONLY | O_NONBLOCK);
  const UniqueFd writer = *OpenFile(in, O_RDWR | O_NONBLOCK);
  auto request = CreateRequest(fifo, true);
  request.set_stdin(in);
  ASSERT_TRUE(Call<v2::CreateTaskResponse>("Create", request).ok());
  UpgradeWell();  // created and not started
  ASSERT_TRUE(Start().ok());
  UpgradeWell();
  auto size = Of<v2::ResizePtyRequest>();
  size.set_width(91);
  size.set_height(17);
  EXPECT_TRUE(Call<Empty>("ResizePty", size).ok());
  ASSERT_TRUE(WriteAll(writer, "one\n").ok());
  UpgradeWell();
  ASSERT_TRUE(WriteAll(writer, "two\n").ok());
  const std::string text = ReadToEnd(reader);
  EXPECT_NE(text.find("17 91"), std::string::npos) << text;
  EXPECT_NE(text.find("got one two"), std::string::npos) << text;
  EXPECT_EQ(WaitStatus(), 6);
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimUpgradeTest, ExecsThatRunAndThatEndedAndThatWaitToStartAreKept) {
  RunTask("trap 'exit 0' TERM; while sleep 0.05; do :; done");
  ASSERT_TRUE(Exec("running", "while ! [ -e /tmp/go ]; do sleep 0.02; done; exit 9").ok());
  ASSERT_TRUE(Start("running").ok());
  ASSERT_TRUE(Exec("ended", "exit 5").ok());
  ASSERT_TRUE(Start("ended").ok());
  EXPECT_EQ(WaitStatus("ended"), 5);
  ASSERT_TRUE(Exec("waiting", "exit 11").ok());
  const auto wait = Send<v2::WaitResponse>("Wait", Of<v2::WaitRequest>("running"));
  UpgradeWell();
  EXPECT_EQ(WaitStatus("ended"), 5);
  EXPECT_EQ(State("waiting")->status(), Status::CREATED);
  ASSERT_TRUE(Start("waiting").ok());
  EXPECT_EQ(WaitStatus("waiting"), 11);
  // It ends while nobody is there to see it: a child that nobody has reaped stays.
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(bundle_, "/rootfs/tmp/go"), "", 0644,
                            Durability::kUnsynced)
                  .ok());
  UpgradeWell();
  ASSERT_TRUE(RunUntil([&] { return wait->has_value(); })) << ShimLog();
  ASSERT_TRUE((*wait)->ok()) << (*wait)->status();
  EXPECT_EQ((**wait)->exit_status(), 9u);
  const auto again = Exec("running", "exit 0");
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  for (const char* id : {"running", "ended", "waiting"}) EXPECT_TRUE(Delete(id).ok()) << id;
  KillAndDelete();
  const auto journal = journal::ReadJournal(bundle_);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_EQ(journal->init.stage, journal::Stage::kDeleted);
  EXPECT_TRUE(journal->execs.empty());
}

TEST_F(ShimUpgradeTest, APausedContainerStaysPaused) {
  RunTask("while sleep 0.02; do echo x >> /tmp/count; done");
  ASSERT_TRUE(Call<Empty>("Pause", Of<v2::PauseRequest>()).ok());
  UpgradeWell();
  EXPECT_EQ(State()->status(), Status::PAUSED);
  ASSERT_TRUE(Call<Empty>("Resume", Of<v2::ResumeRequest>()).ok());
  EXPECT_EQ(State()->status(), Status::RUNNING);
  KillAndDelete();
}

TEST_F(ShimUpgradeTest, ARestartThatIsDueComesAndHealthChecksGoOn) {
  RunTask("echo x >> /tmp/count; [ $(wc -l < /tmp/count) -ge 2 ] && sleep 1000; exit 8");
  v1::SetPolicyRequest policy;
  policy.set_id("c");
  policy.mutable_restart()->set_mode(v1::RestartPolicy::ALWAYS);
  policy.mutable_restart()->set_start_if_stopped(true);
  policy.mutable_restart()->mutable_first_backoff()->set_seconds(2);
  policy.mutable_restart()->mutable_longest_backoff()->set_seconds(5);
  policy.mutable_health()->set_process_json(
      Fill(kExec, "echo x >> /tmp/checks; [ -e /tmp/well ] && sleep 0.3", false));
  policy.mutable_health()->mutable_interval()->set_nanos(100'000'000);
  policy.mutable_health()->set_retries(1);
  ASSERT_TRUE(Supervise<v1::SetPolicyResponse>("SetPolicy", policy).ok());
  ASSERT_TRUE(RunUntil([&] { return GetStatus().phase() == v1::GetStatusResponse::RESTARTING; }));
  const auto before = GetStatus();
  UpgradeWell();
  const auto after = GetStatus();
  EXPECT_EQ(after.last_exit().status(), 8u);
  EXPECT_EQ(after.restart().SerializeAsString(), before.restart().SerializeAsString());
  if (after.phase() == v1::GetStatusResponse::RESTARTING) {
    EXPECT_EQ(after.next_start().SerializeAsString(), before.next_start().SerializeAsString());
  }
  ASSERT_TRUE(RunUntil([&] {
    const auto status = GetStatus();
    return status.generation() == 2 && status.phase() == v1::GetStatusResponse::RUNNING;
  })) << ShimLog();
  ASSERT_TRUE(RunUntil([&] { return GetStatus().health().status() == v1::Health::UNHEALTHY; }));
  UpgradeWell();
  EXPECT_EQ(GetStatus().health().status(), v1::Health::UNHEALTHY);
  EXPECT_GE(GetStatus().health().results_size(), 1);
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(bundle_, "/rootfs/tmp/well"), "",
                            0644, Durability::kUnsynced)
                  .ok());
  UpgradeWell();  // as a rule in the middle of a check
  EXPECT_TRUE(RunUntil([&] { return GetStatus().health().status() == v1::Health::HEALTHY; }));
  KillAndDelete();
}

TEST_F(ShimUpgradeTest, AProgramThatCannotTakeOverChangesNothing) {
  RunTask("trap 'exit 2' TERM; while sleep 0.05; do :; done");
  const auto wait = Send<v2::WaitResponse>("Wait", Of<v2::WaitRequest>());
  auto descriptors = OpenDescriptors();
  const auto refused = [&](const std::string& program, absl::string_view why) {
    const absl::Status status = Upgrade(program, absl::Seconds(1));
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), why)) << status;
    EXPECT_EQ(State()->status(), Status::RUNNING);
  };
  refused(WriteProgram("fails", "#!/bin/busybox sh\necho no such luck\nexit 3\n"),
          "ended with status 3, saying: no such luck");
  refused(WriteProgram("hangs", "#!/bin/busybox sh\nsleep 1000; true\n"), "did not answer in time");
  refused(WriteProgram("crashes", "#!/bin/busybox sh\nkill -SEGV $$\n"), "signal 11");
  refused(WriteProgram("garbage", std::string(10000, 'x')), "could not be executed");
  refused(WriteProgram("silent", "#!/bin/busybox sh\nexit 0\n"), "gave no answer");
  EXPECT_TRUE(absl::IsNotFound(Upgrade(absl::StrCat(directory_, "/missing"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Upgrade(directory_)));
  EXPECT_TRUE(absl::IsInvalidArgument(Upgrade(MakeFifo("fifo"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Upgrade("")));
  // The connection for events is made again with the next one.
  auto now = OpenDescriptors();
  std::sort(now.begin(), now.end());
  std::sort(descriptors.begin(), descriptors.end());
  EXPECT_TRUE(std::includes(descriptors.begin(), descriptors.end(), now.begin(), now.end()))
      << absl::StrJoin(now, "; ") << " of " << absl::StrJoin(descriptors, "; ");
  const std::string words = *ReadFile(absl::StrCat("/proc/", shim_.pid(), "/cmdline"));
  EXPECT_EQ(words.find("-upgrade-take"), std::string::npos) << words;
  EXPECT_FALSE(wait->has_value());
  UpgradeWell();
  EXPECT_TRUE(Kill(SIGTERM).ok());
  EXPECT_TRUE(RunUntil([&] { return wait->has_value(); }));
  EXPECT_EQ((**wait)->exit_status(), 2u);
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimUpgradeTest, AProgramThatFailsOnlyAfterItsYesIsLikeAShimThatWasKilled) {
  RunTask("while sleep 0.05; do :; done");
  const pid_t init = static_cast<pid_t>(State()->pid());
  // Says yes to whatever it sees, and cannot do it: the kernel executes no script from a descriptor
  // that is closed by then, so the shim lives on.
  const absl::Status status =
      Upgrade(WriteProgram("liar", "#!/bin/busybox sh\necho ok 9.9\nexit 0\n"));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "cannot be executed: ENOENT")) << status;
  EXPECT_EQ(State()->status(), Status::RUNNING);
  UpgradeWell();
  (void)shim_.Signal(SIGKILL);
  (void)shim_.Wait(absl::Seconds(10));
  EXPECT_TRUE(Alive(init));
  const auto journal = journal::ReadJournal(bundle_);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_EQ(journal->init.stage, journal::Stage::kRunning);
  EXPECT_EQ(journal->init.process.pid, init);
  EXPECT_EQ(RunDelete().exit_status(), 137u);
  EXPECT_TRUE(RunUntil([&] { return !Alive(init); }));  // once its new parent has reaped it
  EXPECT_TRUE(CgroupDirectories().empty());
}

TEST_F(ShimUpgradeTest, ADamagedStateIsRefusedByWhoeverLooksAtIt) {
  RunTask("while sleep 0.05; do :; done");
  const std::string kept = absl::StrCat(directory_, "/state");
  const absl::Status refused = Upgrade(WriteProgram(
      "keeps", absl::StrCat("#!/bin/busybox sh\nfor last; do :; done\n",
                            "/bin/busybox cat /proc/self/fd/$last > ", kept, "\nexit 1\n")));
  ASSERT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  const std::string whole = *ReadFile(kept);
  const auto body = handover::Unwrap(whole);
  ASSERT_TRUE(body.ok()) << body.status();
  // A process of its own, without the descriptors that the state names.
  const auto look = [&](absl::string_view bytes) {
    EXPECT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), kept, bytes, 0600, Durability::kUnsynced).ok());
    const UniqueFd file = *OpenFile(kept, O_RDONLY);
    SpawnOptions spawn;
    spawn.executable = ShimPath();
    spawn.arguments = {"berth-shim", "-namespace", "ns", "-id", "c", "-upgrade-check", "5"};
    spawn.descriptors = {{5, file.get()}};
    spawn.working_directory = bundle_;
    ChildProcess child = *Spawn(spawn);
    const auto ended = child.Wait(absl::Seconds(30));
    EXPECT_TRUE(ended.ok());
    EXPECT_EQ(ended->signal, 0);
    return ended->code;
  };
  EXPECT_EQ(look(whole), 1);
  for (size_t size = 0; size < whole.size(); size += 97) {
    EXPECT_EQ(look(absl::string_view(whole).substr(0, size)), 1) << size;
  }
  for (size_t at = 0; at < body->size(); at += 29) {
    std::string damaged = *body;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    EXPECT_EQ(look(handover::Wrap(damaged)), 1) << at;
    EXPECT_EQ(look(absl::StrCat(whole.substr(0, 20), damaged)), 1) << at;
  }
  EXPECT_EQ(State()->status(), Status::RUNNING);
  KillAndDelete();
}

TEST_F(ShimUpgradeTest, TwoTasksOfOneShimGoTogether) {
  second_id_ = "d";
  RunTask("trap 'exit 1' TERM; while sleep 0.05; do :; done");
  const std::string second = absl::StrCat(directory_, "/io.containerd.runtime.v2.task/ns/d");
  ASSERT_TRUE(EnsureDirectory(second, 0700).ok());
  ASSERT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(second, "/config.json"),
                            absl::StrReplaceAll(
                                Fill(kConfig, "trap 'exit 12' TERM; while sleep 0.05; do :; done",
                                     false, absl::StrCat(cgroup_, "/d")),
                                {{"\"rootfs\"", absl::StrCat("\"", bundle_, "/rootfs\"")}}),
                            0600, Durability::kUnsynced)
                  .ok());
  v2::CreateTaskRequest create;
  create.set_id("d");
  create.set_bundle(second);
  const auto created = Call<v2::CreateTaskResponse>("Create", create);
  ASSERT_TRUE(created.ok()) << created.status();
  const auto for_second = [](auto request) {
    request.set_id("d");
    return request;
  };
  ASSERT_TRUE(Call<v2::StartResponse>("Start", for_second(v2::StartRequest())).ok());
  UpgradeWell();
  UpgradeWell();
  auto kill = for_second(v2::KillRequest());
  kill.set_signal(SIGTERM);
  ASSERT_TRUE(Call<Empty>("Kill", kill).ok());
  const auto ended = Call<v2::WaitResponse>("Wait", for_second(v2::WaitRequest()));
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->exit_status(), 12u);
  EXPECT_TRUE(Call<v2::DeleteResponse>("Delete", for_second(v2::DeleteRequest())).ok());
  EXPECT_EQ(State()->status(), Status::RUNNING);
  EXPECT_TRUE(Kill(SIGTERM).ok());
  EXPECT_EQ(WaitStatus(), 1);
  EXPECT_TRUE(Delete().ok());
}

TEST_F(ShimUpgradeTest, WhatIsUnderWayIsWaitedForOrRefused) {
  WriteConfig("sleep 1000");
  StartShim();
  const absl::Status without = Upgrade(ShimPath());
  EXPECT_TRUE(absl::IsFailedPrecondition(without)) << without;
  // Nobody reads the FIFO, so this Create goes on.
  const std::string fifo = MakeFifo("out");
  const auto create = Send<v2::CreateTaskResponse>("Create", CreateRequest(fifo));
  ASSERT_TRUE(RunUntil([&] { return State().ok(); }));
  const absl::Status during = Upgrade(ShimPath());
  EXPECT_TRUE(absl::IsUnavailable(during)) << during;
  EXPECT_FALSE(create->has_value());
  const UniqueFd reader = *OpenFile(fifo, O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(RunUntil([&] { return create->has_value(); }));
  ASSERT_TRUE((*create)->ok()) << (*create)->status();
  UpgradeWell();
  ASSERT_TRUE(Start().ok());
  KillAndDelete();
}

TEST_F(ShimUpgradeTest, FiftyUpgradesCostNothing) {
  RunTask("trap 'exit 0' TERM; while sleep 0.05; do :; done");
  const int64_t fresh = PrivateKilobytes(shim_.pid());
  UpgradeWell();
  const size_t descriptors = OpenDescriptors().size();
  const int64_t first = PrivateKilobytes(shim_.pid());
  while (upgrades_ < 50) UpgradeWell();
  EXPECT_EQ(OpenDescriptors().size(), descriptors);
  const int64_t last = PrivateKilobytes(shim_.pid());
#if !defined(__SANITIZE_ADDRESS__)  // which keeps what is freed for a while
  EXPECT_LE(last, first + 32) << fresh << " kB fresh";
  EXPECT_LE(last, fresh + 64);
#endif
  RecordProperty("fresh_kb", static_cast<int>(fresh));
  RecordProperty("after_50_kb", static_cast<int>(last));
  KillAndDelete();
}

}  // namespace
}  // namespace berth::service
