#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "client/attach/detach_keys.h"
#include "client/attach/signal_pipe.h"
#include "client/attach/stdio_fifos.h"
#include "client/attach/stdio_pump.h"

namespace berth::client {
namespace {

std::string TestDirectory() { return ::testing::TempDir() + "/berth-attach-test"; }

bool Exists(const std::string& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0;
}

TEST(SignalPipeTest, SignalsArriveInOrderAndTheFormerHandlerComesBack) {
  struct sigaction before = {};
  ::sigaction(SIGUSR1, nullptr, &before);
  {
    auto pipe = SignalPipe::Open({SIGUSR1, SIGUSR2});
    ASSERT_TRUE(pipe.ok()) << pipe.status();
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_EQ((*pipe)->Take(), (std::vector<int>{SIGUSR1, SIGUSR2}));
    EXPECT_TRUE((*pipe)->Take().empty());
  }
  struct sigaction after = {};
  ::sigaction(SIGUSR1, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(StdioFifosTest, AnOpenForWritingDoesNotWaitForUs) {
  auto fifos = StdioFifos::Create(TestDirectory(), WithStdin::kYes, WithTerminal::kNo);
  ASSERT_TRUE(fifos.ok()) << fifos.status();
  // O_NONBLOCK turns "would wait" into an error.
  EXPECT_TRUE(OpenFile(fifos->paths().out, O_WRONLY | O_NONBLOCK).ok());
  EXPECT_TRUE(OpenFile(fifos->paths().err, O_WRONLY | O_NONBLOCK).ok());
  EXPECT_TRUE(OpenFile(fifos->paths().in, O_RDONLY | O_NONBLOCK).ok());
}

TEST(StdioFifosTest, ATerminalHasNoStderrAndNothingIsLeftBehind) {
  StdioPaths paths;
  {
    auto fifos = StdioFifos::Create(TestDirectory(), WithStdin::kNo, WithTerminal::kYes);
    ASSERT_TRUE(fifos.ok()) << fifos.status();
    paths = fifos->paths();
    EXPECT_EQ(paths.in, "");
    EXPECT_EQ(paths.err, "");
    EXPECT_TRUE(Exists(paths.out));
  }
  EXPECT_FALSE(Exists(paths.out));
}

TEST(StdioFifosTest, OnlyNamedPipesCanBeAttached) {
  auto fifos = StdioFifos::Open({.in = "", .out = "/dev/null", .err = ""}, WithTerminal::kNo);
  EXPECT_TRUE(absl::IsFailedPrecondition(fifos.status())) << fifos.status();
}

// Plays the shim: a process whose stdout is what it reads from stdin.
TEST(StdioPumpTest, InputGoesInOutputComesOutAndTheEndIsTold) {
  auto fifos = StdioFifos::Create(TestDirectory(), WithStdin::kYes, WithTerminal::kYes);
  ASSERT_TRUE(fifos.ok()) << fifos.status();
  auto input = MakePipe();
  auto output = MakePipe();
  auto log = MakePipe();
  auto exited = MakePipe();
  ASSERT_TRUE(input.ok() && output.ok() && log.ok() && exited.ok());
  std::string text(300'000, 'x');  // several times a pipe's size
  auto shim_in = OpenFile(fifos->paths().in, O_RDONLY);
  auto shim_out = OpenFile(fifos->paths().out, O_WRONLY);
  ASSERT_TRUE(shim_in.ok() && shim_out.ok());

  std::thread writer([&] {
    EXPECT_TRUE(WriteAll(input->write, text).ok());
    input->write.Reset();
  });
  std::thread shim([&] {
    auto all = ReadAll(*shim_in, 1 << 20);
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(*all, text);
    EXPECT_TRUE(WriteAll(exited->write, "x").ok());
    EXPECT_TRUE(WriteAll(*shim_out, "after the exit\n").ok());
    shim_out->Reset();
  });
  auto signals = SignalPipe::Open({});
  ASSERT_TRUE(signals.ok());
  int ends = 0;
  StdioPump pump(fifos->TakeEnds(), {.in = input->read, .out = output->write, .log = log->write},
                 {.on_stdin_end = [&] { ++ends; }});
  EXPECT_TRUE(pump.Run(exited->read, **signals, absl::Seconds(20)).ok());
  writer.join();
  shim.join();
  output->write.Reset();
  log->write.Reset();
  EXPECT_EQ(*ReadAll(output->read, 100), "after the exit\n");
  EXPECT_EQ(*ReadAll(log->read, 100), "after the exit\n");
  EXPECT_EQ(ends, 1);
}

TEST(StdioPumpTest, AReaderThatLeftIsToldOnceAndTheOutputGoesOn) {
  ::signal(SIGPIPE, SIG_IGN);
  auto fifos = StdioFifos::Create(TestDirectory(), WithStdin::kNo, WithTerminal::kYes);
  ASSERT_TRUE(fifos.ok()) << fifos.status();
  auto output = MakePipe();
  auto exited = MakePipe();
  ASSERT_TRUE(output.ok() && exited.ok());
  output->read.Reset();
  auto shim_out = OpenFile(fifos->paths().out, O_WRONLY);
  ASSERT_TRUE(shim_out.ok());
  std::thread shim([&] {
    EXPECT_TRUE(WriteAll(*shim_out, std::string(300'000, 'y')).ok());
    shim_out->Reset();
    EXPECT_TRUE(WriteAll(exited->write, "x").ok());
  });
  auto signals = SignalPipe::Open({});
  ASSERT_TRUE(signals.ok());
  int lost = 0;
  StdioPump pump(fifos->TakeEnds(), {.out = output->write}, {.on_output_lost = [&] { ++lost; }});
  EXPECT_TRUE(pump.Run(exited->read, **signals, absl::Seconds(20)).ok());
  shim.join();
  EXPECT_EQ(lost, 1);
}

TEST(DetachKeysTest, TheSequenceDetachesAndPartsOfItPass) {
  auto keys = DetachKeys::Parse("");
  ASSERT_TRUE(keys.ok()) << keys.status();
  DetachKeys::Passed passed = keys->Feed("ab\x10");
  EXPECT_EQ(passed.data, "ab");
  EXPECT_FALSE(passed.detaches);
  EXPECT_EQ(keys->Feed("x").data, "\x10x");  // it was no sequence
  EXPECT_EQ(keys->Feed("\x10").data, "");
  EXPECT_EQ(keys->Feed("\x10").data, "\x10");  // the second may still begin one
  passed = keys->Feed("\x11rest");
  EXPECT_EQ(passed.data, "");
  EXPECT_TRUE(passed.detaches);
}

TEST(DetachKeysTest, OwnKeysAndMistakes) {
  auto keys = DetachKeys::Parse("ctrl-a,d,ctrl-]");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_TRUE(keys->Feed("\x01"
                         "d\x1d")
                  .detaches);
  for (const char* text : {"ctrl-", "ctrl-1", "alt-x", "a,,b", "ab"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DetachKeys::Parse(text).status())) << text;
  }
}

}  // namespace
}  // namespace berth::client
