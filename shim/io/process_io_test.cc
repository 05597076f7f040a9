#include "shim/io/process_io.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "gtest/gtest.h"

namespace berth::io {
namespace {

class ProcessIoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    loop_ = *Loop::Create();
    std::string path = ::testing::TempDir() + "/io.XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  void TearDown() override { (void)RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_); }

  std::string Path(absl::string_view name) { return absl::StrCat(directory_, "/", name); }
  std::string MakeFifo(absl::string_view name) {
    EXPECT_EQ(::mkfifo(Path(name).c_str(), 0700), 0);
    return Path(name);
  }
  UniqueFd Reader(const std::string& path) { return *OpenFile(path, O_RDONLY | O_NONBLOCK); }

  template <typename Condition>
  bool RunUntil(Condition done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!done() && absl::Now() < deadline) {
      EXPECT_TRUE(loop_->RunOnce(absl::Milliseconds(5)).ok());
    }
    return done();
  }
  static absl::StatusOr<Forked> ForkNow() {
    Forked forked;
    forked.pid = ::fork();
    if (forked.pid > 0) {
      last_pid_ = forked.pid;
      forked.pidfd = *OpenPidFd(forked.pid);
    }
    return forked;
  }
  absl::Status Open(Request request) {
    request.fork = ForkNow;
    request.container_id = "the-container";
    request.namespace_name = "the-namespace";
    io_ = std::make_unique<ProcessIo>(*loop_, std::move(request));
    std::optional<absl::Status> result;
    io_->Open([&](absl::Status status) { result = status; });
    EXPECT_FALSE(result.has_value()) << "answered inside the call";
    EXPECT_TRUE(RunUntil([&] { return result.has_value(); }));
    return result.value_or(absl::InternalError("no answer"));
  }
  ChildProcess Run(const std::string& script) {
    const ChildEnds ends = io_->TakeChildEnds();
    SpawnOptions options;
    options.executable = "/bin/sh";
    options.arguments = {"sh", "-c", script};
    if (ends.in.valid()) options.descriptors.emplace_back(0, ends.in.get());
    if (ends.out.valid()) options.descriptors.emplace_back(1, ends.out.get());
    if (ends.err.valid()) options.descriptors.emplace_back(2, ends.err.get());
    return *Spawn(options);
  }
  ExitState WaitFor(ChildProcess& child) {
    std::optional<ExitState> state;
    EXPECT_TRUE(RunUntil([&] {
      const auto ended = child.Wait(absl::ZeroDuration());
      if (ended.ok()) state = *ended;
      return state.has_value();
    }));
    return state.value_or(ExitState{.code = -1});
  }
  // Reads to the end of a FIFO while the loop runs.
  std::string ReadToEnd(const UniqueFd& fd) {
    std::string text;
    bool ended = false;
    EXPECT_TRUE(RunUntil([&] {
      char buffer[4096];
      const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
      if (got > 0) text.append(buffer, got);
      ended = got == 0;
      return ended;
    }));
    return text;
  }
  absl::Duration Drain(absl::Duration limit) {
    const absl::Time begin = absl::Now();
    bool drained = false;
    io_->Drain(limit, [&] { drained = true; });
    EXPECT_TRUE(RunUntil([&] { return drained; }));
    return absl::Now() - begin;
  }

  static inline pid_t last_pid_ = 0;
  std::unique_ptr<Loop> loop_;
  std::string directory_;
  std::unique_ptr<ProcessIo> io_;
};

TEST_F(ProcessIoTest, OutputReachesItsFifosAndEndsWithTheProcess) {
  Request request{.in = "", .out = MakeFifo("out"), .err = MakeFifo("err")};
  const UniqueFd out = Reader(request.out), err = Reader(request.err);
  ASSERT_TRUE(Open(request).ok());
  ChildProcess child = Run("echo to-out; echo to-err >&2");
  EXPECT_EQ(ReadToEnd(out), "to-out\n");
  EXPECT_EQ(ReadToEnd(err), "to-err\n");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  EXPECT_LT(Drain(absl::Seconds(10)), absl::Seconds(1));
}

TEST_F(ProcessIoTest, OneStreamAloneIsAccepted) {
  Request request{.in = "", .out = "", .err = MakeFifo("err")};
  const UniqueFd err = Reader(request.err);
  ASSERT_TRUE(Open(request).ok());
  ChildProcess child = Run("echo lost; echo kept >&2");
  EXPECT_EQ(ReadToEnd(err), "kept\n");
}

TEST_F(ProcessIoTest, LargeOutputArrivesWholeAtASlowReader) {
  Request request{.in = "", .out = MakeFifo("out"), .err = ""};
  const UniqueFd out = Reader(request.out);
  ASSERT_TRUE(Open(request).ok());
  ChildProcess child = Run("head -c 3000000 /dev/zero | tr '\\0' x; echo end");
  // The writer is blocked by the full pipes, not by us.
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(100)).ok());
  const std::string text = ReadToEnd(out);
  EXPECT_EQ(text.size(), 3000004u);
  EXPECT_TRUE(absl::EndsWith(text, "xend\n"));
  EXPECT_EQ(text.find_first_not_of('x'), 3000000u);
}

TEST_F(ProcessIoTest, ClientThatLeavesDoesNotDisturbTheWriter) {
  Request request{.in = "", .out = MakeFifo("out"), .err = ""};
  UniqueFd first = Reader(request.out);
  ASSERT_TRUE(Open(request).ok());
  ChildProcess child = Run("echo one; read x < " + MakeFifo("go") + "; echo two");
  std::string text;
  ASSERT_TRUE(RunUntil([&] {
    char buffer[16];
    const ssize_t got = ::read(first.get(), buffer, sizeof(buffer));
    if (got > 0) text.append(buffer, got);
    return text == "one\n";
  }));
  first.Reset();
  UniqueFd go = *OpenFile(Path("go"), O_RDWR);
  ASSERT_TRUE(WriteAll(go, "\n").ok());
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
}

TEST_F(ProcessIoTest, ReaderThatComesLateIsWaitedFor) {
  Request request{.in = "", .out = MakeFifo("out"), .err = ""};
  UniqueFd late;
  loop_->After(absl::Milliseconds(30), [&] { late = Reader(request.out); });
  ASSERT_TRUE(Open(request).ok());
  ASSERT_TRUE(late.valid());
  ChildProcess child = Run("echo hello");
  EXPECT_EQ(ReadToEnd(late), "hello\n");
}

TEST_F(ProcessIoTest, MissingReaderIsAnErrorAndTheLoopRunsOnMeanwhile) {
  Request request{.in = "", .out = MakeFifo("out"), .err = ""};
  request.open_timeout = absl::Milliseconds(100);
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop_->After(absl::Milliseconds(5), tick);
  };
  tick();
  const absl::Status status = Open(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(absl::StrContains(status.message(), request.out)) << status;
  EXPECT_GE(ticks, 5);
}

TEST_F(ProcessIoTest, MissingFifoIsNotFound) {
  EXPECT_EQ(Open(Request{.in = "", .out = Path("none"), .err = ""}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Open(Request{.in = Path("none"), .out = "", .err = ""}).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ProcessIoTest, InputEndsOnlyWhenItIsClosedAndTheClientsHaveGone) {
  Request request{.in = MakeFifo("in"), .out = MakeFifo("out"), .err = ""};
  const UniqueFd out = Reader(request.out);
  ASSERT_TRUE(Open(request).ok());
  ChildProcess child = Run("cat");
  UniqueFd writer = *OpenFile(request.in, O_WRONLY);
  ASSERT_TRUE(WriteAll(writer, "first ").ok());
  writer.Reset();
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
  writer = *OpenFile(request.in, O_WRONLY);
  ASSERT_TRUE(WriteAll(writer, "second").ok());
  io_->CloseInput();
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
  EXPECT_EQ(child.Wait(absl::ZeroDuration()).status().code(), absl::StatusCode::kDeadlineExceeded);
  writer.Reset();
  EXPECT_EQ(ReadToEnd(out), "first second");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
}

TEST_F(ProcessIoTest, ProcessThatClosesItsInputDoesNotEndItsOutput) {
  Request request{.in = MakeFifo("in"), .out = MakeFifo("out"), .err = ""};
  const UniqueFd out = Reader(request.out);
  ASSERT_TRUE(Open(request).ok());
  UniqueFd writer = *OpenFile(request.in, O_WRONLY);
  ChildProcess child = Run("exec 0<&-; sleep 0.1; echo alive");
  ASSERT_TRUE(WriteAll(writer, "unread").ok());
  EXPECT_EQ(ReadToEnd(out), "alive\n");
}

TEST_F(ProcessIoTest, FileIsMadeWithItsDirectoryAndAppendedTo) {
  const std::string uri = absl::StrCat("file://", Path("logs/x/app.log"));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Open(Request{.in = "", .out = uri, .err = uri}).ok());
    ChildProcess child = Run("echo out; sleep 0.05; echo err >&2");
    EXPECT_EQ(WaitFor(child).ExitCode(), 0);
    Drain(absl::Seconds(10));
  }
  EXPECT_EQ(*ReadFile(Path("logs/x/app.log")), "out\nerr\nout\nerr\n");
}

TEST_F(ProcessIoTest, AFlowIntoAFileArrivesWhole) {
  ASSERT_TRUE(
      Open(Request{.in = "", .out = absl::StrCat("file://", Path("flow")), .err = ""}).ok());
  ChildProcess child = Run("seq 1 400000; echo end");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  Drain(absl::Seconds(10));
  std::string expected;
  for (int i = 1; i <= 400000; ++i) absl::StrAppend(&expected, i, "\n");
  EXPECT_TRUE(*ReadFile(Path("flow")) == expected + "end\n");
}

TEST_F(ProcessIoTest, LogAndAttachedClientGetTheSameAndTheInputIsTheClients) {
  AttachHub hub(*loop_, AttachHub::Terminal::kNo, AttachHub::Input::kFirstClient);
  const std::string uri = absl::StrCat("berth-log://", Path("c.log"), "?driver=cri");
  ASSERT_TRUE(
      Open(Request{.in = "berth-attach://?once=true", .out = uri, .err = uri, .hub = &hub}).ok());
  SocketPair pair = *MakeSocketPair(SOCK_STREAM | SOCK_NONBLOCK);
  hub.Add(std::move(pair.first), attach::Hello{.input = true}, "word\n");
  ChildProcess child = Run("read line; echo got $line; echo problem >&2; cat");
  ASSERT_TRUE(WriteAll(pair.second, "rest\n").ok());
  ASSERT_EQ(::shutdown(pair.second.get(), SHUT_WR), 0);
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  io_->ProcessEnded();
  const std::string frames = ReadToEnd(pair.second);
  EXPECT_NE(frames.find("got word\n"), std::string::npos);
  EXPECT_NE(frames.find("problem\n"), std::string::npos);
  EXPECT_NE(frames.find("rest\n"), std::string::npos);
  Drain(absl::Seconds(10));
  const std::string log = *ReadFile(Path("c.log"));
  EXPECT_NE(log.find(" stdout F got word\n"), std::string::npos) << log;
  EXPECT_NE(log.find(" stderr F problem\n"), std::string::npos) << log;
  EXPECT_NE(log.find(" stdout F rest\n"), std::string::npos) << log;
  EXPECT_EQ(io_->log_counters()->records.load(), 3u);
}

TEST_F(ProcessIoTest, StalledLogStopsNeitherTheLoopNorANonBlockingWriter) {
  const std::string uri =
      absl::StrCat("berth-log://", Path("c.log"), "?mode=non-blocking&max-buffer-size=65536");
  ASSERT_TRUE(Open(Request{.in = "", .out = uri, .err = ""}).ok());
  ASSERT_EQ(::kill(last_pid_, SIGSTOP), 0);
  ChildProcess child = Run("head -c 1000000 /dev/zero");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  EXPECT_LT(Drain(absl::Milliseconds(100)), absl::Seconds(5));
  EXPECT_EQ(io_->discarded_bytes(), 1000000u - 65536u);
}

TEST_F(ProcessIoTest, StalledLogMakesABlockingWriterWait) {
  const std::string uri = absl::StrCat("berth-log://", Path("c.log"));
  ASSERT_TRUE(Open(Request{.in = "", .out = uri, .err = ""}).ok());
  ASSERT_EQ(::kill(last_pid_, SIGSTOP), 0);
  ChildProcess child = Run("yes x | head -n 200000");
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(300)).ok());
  EXPECT_FALSE(child.Wait(absl::ZeroDuration()).ok());
  ASSERT_EQ(::kill(last_pid_, SIGCONT), 0);
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  Drain(absl::Seconds(10));
  EXPECT_EQ(io_->log_counters()->records.load(), 200'000u);
  EXPECT_EQ(io_->discarded_bytes(), 0u);
}

TEST_F(ProcessIoTest, FullDiskDiscardsAndDoesNotStopTheWriter) {
  ASSERT_TRUE(Open(Request{.in = "", .out = "/dev/full", .err = ""}).ok());
  ChildProcess child = Run("head -c 1000000 /dev/zero");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  Drain(absl::Seconds(10));
  EXPECT_EQ(io_->discarded_bytes(), 1000000u);
}

TEST_F(ProcessIoTest, LoggerGetsItsDescriptorsArgumentsAndEnvironment) {
  const std::string script =
      absl::StrCat("exec 5>%26-; cat <%263 > ", Path("out"), "; cat <%264 > ", Path("err"),
                   "; echo $CONTAINER_NAMESPACE $CONTAINER_ID $0 > ", Path("env"));
  ASSERT_TRUE(Open(Request{.in = "",
                           .out = absl::StrCat("binary:///bin/sh?-c=", script, "&zero=x"),
                           .err = "binary:///ignored"})
                  .ok());
  ChildProcess child = Run("echo to-out; echo to-err >&2");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  EXPECT_LT(Drain(absl::Seconds(10)), absl::Seconds(8));
  EXPECT_EQ(*ReadFile(Path("out")), "to-out\n");
  EXPECT_EQ(*ReadFile(Path("err")), "to-err\n");
  EXPECT_EQ(*ReadFile(Path("env")), "the-namespace the-container zero\n");
}

TEST_F(ProcessIoTest, LoggerThatEndsOnlyBySignalIsToldTo) {
  const std::string script =
      absl::StrCat("trap 'echo told > ", Path("told"),
                   "; exit' TERM; exec 5>%26-; while :; do sleep 0.05; done");
  ASSERT_TRUE(
      Open(Request{.in = "", .out = absl::StrCat("binary:///bin/sh?-c=", script), .err = ""}).ok());
  ChildProcess child = Run("true");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  EXPECT_LT(Drain(absl::Seconds(1)), absl::Seconds(8));
  EXPECT_EQ(*ReadFile(Path("told")), "told\n");
}

TEST_F(ProcessIoTest, LoggerThatDiesDoesNotStopTheWriter) {
  ASSERT_TRUE(
      Open(Request{.in = "", .out = "binary:///bin/sh?-c=exec+5>%26-;exit+1", .err = ""}).ok());
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(100)).ok());
  ChildProcess child = Run("head -c 1000000 /dev/zero && echo done >&2");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  EXPECT_LT(Drain(absl::Seconds(10)), absl::Seconds(5));
}

TEST_F(ProcessIoTest, LoggerThatFailsToBecomeReadyIsAnError) {
  EXPECT_EQ(Open(Request{.in = "", .out = "binary:///no/such/program", .err = ""}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Open(Request{.in = "", .out = "binary-v2:///bin/true", .err = ""}).code(),
            absl::StatusCode::kUnavailable);
  EXPECT_TRUE(
      Open(Request{.in = "", .out = "binary-v2:///bin/sh?-c=echo+>%265;cat+<%263", .err = ""})
          .ok());
  Request slow{.in = "", .out = "binary:///bin/sh?-c=exec+sleep+20", .err = ""};
  slow.open_timeout = absl::Milliseconds(50);
  EXPECT_EQ(Open(slow).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ProcessIoTest, TerminalIsCopiedBothWaysAndResized) {
  Request request{.in = MakeFifo("in"), .out = MakeFifo("out"), .err = "/never/made"};
  request.terminal = Request::Terminal::kYes;
  const UniqueFd out = Reader(request.out);
  ASSERT_TRUE(Open(request).ok());
  EXPECT_EQ(io_->Resize(80, 25).code(), absl::StatusCode::kFailedPrecondition);
  int master = -1, slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  UniqueFd terminal(slave);
  ASSERT_TRUE(io_->AttachConsole(UniqueFd(master)).ok());
  ASSERT_TRUE(io_->Resize(132, 43).ok());
  struct winsize size = {};
  ASSERT_EQ(::ioctl(slave, TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_col, 132);
  EXPECT_EQ(size.ws_row, 43);
  SpawnOptions options;
  options.executable = "/bin/sh";
  options.arguments = {"sh", "-c", "read line; echo got $line"};
  options.descriptors = {{0, slave}, {1, slave}, {2, slave}};
  ChildProcess child = *Spawn(options);
  terminal.Reset();
  UniqueFd writer = *OpenFile(request.in, O_WRONLY);
  ASSERT_TRUE(WriteAll(writer, "word\n").ok());
  EXPECT_EQ(ReadToEnd(out), "word\r\ngot word\r\n");
}

TEST_F(ProcessIoTest, DrainIsBoundedWhenSomebodyElseHoldsThePipe) {
  Request request{.in = "", .out = MakeFifo("out"), .err = ""};
  const UniqueFd out = Reader(request.out);
  ASSERT_TRUE(Open(request).ok());
  ChildProcess child = Run("sleep 3 & exit 0");
  EXPECT_EQ(WaitFor(child).ExitCode(), 0);
  const absl::Duration took = Drain(absl::Milliseconds(100));
  EXPECT_GE(took, absl::Milliseconds(100));
  EXPECT_LT(took, absl::Seconds(2));
}

TEST_F(ProcessIoTest, AllEmptyIsNull) {
  ASSERT_TRUE(Open(Request{.in = "", .out = "", .err = ""}).ok());
  const ChildEnds ends = io_->TakeChildEnds();
  EXPECT_FALSE(ends.in.valid() || ends.out.valid() || ends.err.valid());
}

}  // namespace
}  // namespace berth::io
