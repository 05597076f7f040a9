#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/descriptor_message.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/os/unique_fd.h"
#include "base/status/errno_status.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

class OsTest : public testing::Test {
 protected:
  OsTest() {
    char name[] = "/tmp/berth-os-test-XXXXXX";
    path_ = ::mkdtemp(name);
    directory_ = *OpenFile(path_, O_RDONLY | O_DIRECTORY);
  }
  ~OsTest() override {
    EXPECT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), path_).ok());
    EXPECT_EQ(::access(path_.c_str(), F_OK), -1);
  }
  std::string path_;
  UniqueFd directory_;
};

TEST(UniqueFdTest, MoveAssignmentClosesTheOldDescriptor) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  const int old = pipe->read.get();
  pipe->read = std::move(pipe->write);
  EXPECT_EQ(::fcntl(old, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_FALSE(pipe->write.valid());
}

TEST(UniqueFdTest, DescriptorsAreBornCloseOnExec) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  EXPECT_EQ(::fcntl(pipe->read.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(DupFd(pipe->read)->get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(OsTest, ReplacedFileHasTheNewContentAndNoSiblings) {
  ASSERT_TRUE(ReplaceFileAt(directory_, "state", "one", 0600, Durability::kSynced).ok());
  ASSERT_TRUE(ReplaceFileAt(directory_, "state", "two", 0600, Durability::kUnsynced).ok());
  EXPECT_EQ(*ReadFileAt(directory_, "state"), "two");
  EXPECT_EQ(ListDirectory(directory_)->size(), 1u);
}

TEST_F(OsTest, ReadRefusesMoreThanItsLimit) {
  ASSERT_TRUE(
      ReplaceFileAt(directory_, "big", std::string(100, 'x'), 0600, Durability::kUnsynced).ok());
  EXPECT_EQ(ReadFileAt(directory_, "big", 99).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFileAt(directory_, "big", 100)->size(), 100u);
}

TEST_F(OsTest, OpenInRootKeepsAbsoluteLinksInside) {
  ASSERT_EQ(::symlinkat("/etc/passwd", directory_.get(), "link"), 0);
  EXPECT_EQ(ErrnoOf(OpenInRoot(directory_, "link", O_RDONLY).status()), ENOENT);
  EXPECT_EQ(ErrnoOf(OpenInRoot(directory_, "../../etc/passwd", O_RDONLY).status()), ENOENT);
}

TEST_F(OsTest, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(EnsureDirectory(absl::StrCat(path_, "/keep"), 0700).ok());
  ASSERT_TRUE(EnsureDirectory(absl::StrCat(path_, "/gone/deep"), 0700).ok());
  ASSERT_EQ(::symlinkat("../../keep", directory_.get(), "gone/deep/link"), 0);
  ASSERT_TRUE(RemoveTreeAt(directory_, "gone").ok());
  EXPECT_EQ(*ListDirectory(directory_), std::vector<std::string>{"keep"});
  EXPECT_TRUE(RemoveTreeAt(directory_, "never there").ok());
}

TEST_F(OsTest, UnixSocketsBeyondTheAddressLimitConnect) {
  const std::string deep = absl::StrCat(path_, "/", std::string(120, 'd'));
  ASSERT_TRUE(EnsureDirectory(deep, 0700).ok());
  const std::string address = absl::StrCat(deep, "/s");
  EXPECT_EQ(ErrnoOf(ConnectUnix(address).status()), ENOENT);
  auto listener = ListenUnix(address, 0660, 8);
  ASSERT_TRUE(listener.ok()) << listener.status();
  struct stat info;
  ASSERT_EQ(::stat(address.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  EXPECT_TRUE(ConnectUnix(address).ok());
}

TEST(DescriptorMessageTest, CarriesATextAndADescriptor) {
  auto sockets = MakeSocketPair(SOCK_SEQPACKET);
  auto pipe = MakePipe();
  ASSERT_TRUE(SendDescriptor(sockets->first, "a pipe", pipe->write).ok());
  ASSERT_TRUE(SendDescriptor(sockets->first, "nothing", BorrowedFd(-1)).ok());
  pipe->write.Reset();
  auto first = ReceiveDescriptor(sockets->second, 64);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->text, "a pipe");
  EXPECT_NE(::fcntl(first->descriptor.get(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_TRUE(WriteAll(first->descriptor, "through").ok());
  first->descriptor.Reset();
  EXPECT_EQ(*ReadAll(pipe->read, 64), "through");
  auto second = ReceiveDescriptor(sockets->second, 64);
  EXPECT_EQ(second->text, "nothing");
  EXPECT_FALSE(second->descriptor.valid());
  EXPECT_EQ(ErrnoOf(ReceiveDescriptor(sockets->second, 64, MSG_DONTWAIT).status()), EAGAIN);
  sockets->first.Reset();
  EXPECT_TRUE(ReceiveDescriptor(sockets->second, 64)->text.empty());
  EXPECT_EQ(ErrnoOf(SendDescriptor(sockets->second, "x", BorrowedFd(-1))), EPIPE);
}

TEST(SpawnTest, DescriptorsAndExitCodeAreTheChilds) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  SpawnOptions options;
  options.executable = "/bin/sh";
  options.arguments = {"sh", "-c", "echo $WORD >&5; exit 3"};
  options.environment = {"WORD=hello", "PATH=/bin"};
  options.descriptors = {{5, pipe->write.get()}};
  auto child = Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  pipe->write.Reset();
  EXPECT_EQ(*ReadAll(pipe->read, 100), "hello\n");
  EXPECT_EQ(child->Wait(absl::Seconds(10))->ExitCode(), 3);
}

TEST(SpawnTest, MissingProgramIsNotFound) {
  SpawnOptions options;
  options.executable = "/nowhere/program";
  options.arguments = {"program"};
  EXPECT_EQ(Spawn(options).status().code(), absl::StatusCode::kNotFound);
}

TEST(SpawnTest, WaitGivesUpAtItsDeadlineAndTheOwnerKills) {
  SpawnOptions options;
  options.executable = "/bin/sleep";
  options.arguments = {"sleep", "60"};
  auto child = Spawn(options);
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child->Wait(absl::Milliseconds(1)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(child->Signal(SIGTERM).ok());
  EXPECT_EQ(child->Wait(absl::Seconds(10))->ExitCode(), 128 + SIGTERM);
}

TEST(SealedExecutableTest, RunsAndCannotBeChanged) {
  auto source = OpenFile("/bin/true", O_RDONLY);
  ASSERT_TRUE(source.ok());
  auto sealed = MakeSealedExecutable("true", *source);
  ASSERT_TRUE(sealed.ok()) << sealed.status();
  EXPECT_EQ(::write(sealed->get(), "x", 1), -1);
  SpawnOptions options;
  options.executable = absl::StrCat("/proc/self/fd/", sealed->get());
  options.arguments = {"true"};
  auto child = Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(child->Wait(absl::Seconds(10))->ExitCode(), 0);
}

}  // namespace
}  // namespace berth
