#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "shim/handover/envelope.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

namespace berth::handover {
namespace {

TEST(EnvelopeTest, GivesBackWhatWasWrapped) {
  for (const std::string& state : {std::string(), std::string("x"), std::string(100000, '\0')}) {
    const auto unwrapped = Unwrap(Wrap(state));
    ASSERT_TRUE(unwrapped.ok()) << unwrapped.status();
    EXPECT_EQ(*unwrapped, state);
  }
}

TEST(EnvelopeTest, RefusesEveryCutAndEveryChangedByte) {
  const std::string whole = Wrap("the state of a shim");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Unwrap(absl::string_view(whole).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(Unwrap(whole + "x").ok());
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] ^= 1;
    EXPECT_FALSE(Unwrap(damaged).ok()) << at;
  }
}

TEST(EnvelopeTest, RefusesANewerVersionSayingSo) {
  std::string newer = Wrap("state");
  newer[8] = static_cast<char>(kVersion + 1);
  const auto unwrapped = Unwrap(newer);
  EXPECT_TRUE(absl::IsFailedPrecondition(unwrapped.status()));
  EXPECT_NE(unwrapped.status().message().find("has version 2"), std::string::npos)
      << unwrapped.status();
}

TEST(PackerTest, IsCompleteOnlyWhenAllIsNamed) {
  auto loop = Loop::Create();
  ASSERT_TRUE(loop.ok());
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  const auto complete = [&](bool watch_named, bool timer_named, bool pipe_named,
                            const FdWatch& watch, TimerId timer) {
    Packer packer(**loop);
    // What the test's own frame holds open is not the matter here.
    for (int fd = 3; fd < 1024; ++fd) {
      if (fd != pipe->read.get() && fd != pipe->write.get()) packer.Leave(BorrowedFd(fd));
    }
    if (watch_named) packer.Count(watch);
    if (timer_named) packer.Count(timer);
    if (pipe_named) {
      EXPECT_EQ(packer.Pack(pipe->read), pipe->read.get());
      EXPECT_EQ(packer.Pack(pipe->write), pipe->write.get());
    }
    return packer.CheckComplete();
  };
  auto watch = (*loop)->Watch(pipe->read, EPOLLIN, [](uint32_t) {});
  ASSERT_TRUE(watch.ok());
  const TimerId timer = (*loop)->After(absl::Hours(1), [] {});
  EXPECT_TRUE(complete(true, true, true, *watch, timer).ok());
  EXPECT_TRUE(absl::IsUnavailable(complete(false, true, true, *watch, timer)));
  EXPECT_TRUE(absl::IsUnavailable(complete(true, false, true, *watch, timer)));
  EXPECT_TRUE(absl::IsUnavailable(complete(true, true, false, *watch, timer)));
  (*loop)->Post([] {});
  EXPECT_TRUE(absl::IsUnavailable(complete(true, true, true, *watch, timer)));
}

TEST(PackerTest, TellsWhatIsLeftOfATimer) {
  auto loop = Loop::Create();
  ASSERT_TRUE(loop.ok());
  Packer packer(**loop);
  const int64_t left = packer.Count((*loop)->After(absl::Hours(1), [] {}));
  EXPECT_GT(left, absl::ToInt64Nanoseconds(absl::Minutes(59)));
  EXPECT_LE(left, absl::ToInt64Nanoseconds(absl::Hours(1)));
  EXPECT_EQ(packer.Count(TimerId::kNone), kNotSet);
  EXPECT_EQ(packer.Pack(BorrowedFd(-1)), 0);
}

TEST(PackerTest, KeepsTimes) {
  EXPECT_EQ(FromNanoseconds(ToNanoseconds(absl::InfinitePast())), absl::InfinitePast());
  const absl::Time time = absl::FromUnixNanos(1700000000123456789);
  EXPECT_EQ(FromNanoseconds(ToNanoseconds(time)), time);
}

TEST(UnpackerTest, GivesEachDescriptorOnceAndAsWhatItIs) {
  auto pipe = MakePipe();
  auto sockets = MakeSocketPair(SOCK_STREAM);
  ASSERT_TRUE(pipe.ok() && sockets.ok());
  const int read = pipe->read.Release();
  const int socket = sockets->first.Release();
  Unpacker unpacker(Mode::kTake, {read, socket});
  EXPECT_FALSE(unpacker.Take(socket + 1000, Kind::kAny, "x").ok());
  EXPECT_FALSE(unpacker.CheckAllTaken().ok());
  auto taken = unpacker.Take(read, Kind::kPipe, "x");
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->get(), read);
  EXPECT_FALSE(unpacker.Take(read, Kind::kPipe, "x").ok());
  EXPECT_FALSE(unpacker.Take(socket, Kind::kDirectory, "x").ok());
  EXPECT_TRUE(unpacker.CheckAllTaken().ok());
  EXPECT_FALSE(unpacker.TakeIfAny(0, Kind::kAny, "x")->valid());
}

TEST(UnpackerTest, ACheckGetsStandInsForProcessesAndConnections) {
  auto sockets = MakeSocketPair(SOCK_STREAM);
  auto self = OpenPidFd(::getpid());
  ASSERT_TRUE(sockets.ok() && self.ok());
  const int socket = sockets->first.Release();
  const int pidfd = self->Release();
  Unpacker unpacker(Mode::kCheck, {socket, pidfd});
  auto taken = unpacker.Take(socket, Kind::kSocket, "x");
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_LT(::send(taken->get(), "x", 1, 0), 0);
  ASSERT_TRUE(unpacker.TakePidFd(pidfd, ::getpid(), "x").ok());
}

TEST(UnpackerTest, APidFdOfAnotherProcessIsRefused) {
  auto self = OpenPidFd(::getpid());
  ASSERT_TRUE(self.ok());
  const int pidfd = self->Release();
  Unpacker unpacker(Mode::kTake, {pidfd});
  EXPECT_FALSE(unpacker.TakePidFd(pidfd, 1, "x").ok());
}

}  // namespace
}  // namespace berth::handover
