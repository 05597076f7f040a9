#include "server/main/api_socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

std::string SocketPath(absl::string_view name) {
  return absl::StrCat(testing::TempDir(), "/", name, "-", ::getpid(), "/api.sock");
}

class BindSocketTest : public testing::Test {
 protected:
  const SocketOwner self_{::geteuid(), ::getegid()};
};

TEST_F(BindSocketTest, ModeIs0660WhateverTheUmask) {
  const std::string path = SocketPath("mode");
  const mode_t before = ::umask(0);
  const auto socket = BindSocket(path, self_);
  ::umask(before);
  ASSERT_TRUE(socket.ok()) << socket.status();
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST_F(BindSocketTest, LiveServerIsNotReplacedAndItsPidIsNamed) {
  const std::string path = SocketPath("live");
  auto first = BindSocket(path, self_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = BindSocket(path, self_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(second.status().message(), absl::StrCat("pid ", ::getpid())));
  first->Reset();
  EXPECT_TRUE(BindSocket(path, self_).ok()) << "a dead server's socket is replaced";
}

TEST_F(BindSocketTest, FileThatIsNoSocketStays) {
  const std::string path = SocketPath("file");
  ASSERT_TRUE(EnsureDirectory(path.substr(0, path.rfind('/')), 0755).ok());
  ASSERT_TRUE(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), path, "precious", 0644, Durability::kUnsynced).ok());
  EXPECT_EQ(BindSocket(path, self_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*ReadFile(path), "precious");
}

TEST_F(BindSocketTest, UnknownGroupIsNotFound) {
  EXPECT_EQ(FindGroup("no-such-group-here").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*FindGroup("root"), 0u);
}

TEST(AcceptorTest, HandsOverAConnectionWithItsPeerAndStops) {
  const std::string path = SocketPath("accept");
  auto listener = BindSocket(path, {::geteuid(), ::getegid()});
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::vector<Acceptor::Listener> listeners;
  listeners.push_back({*std::move(listener), Acceptor::Transport::kUnix});
  const Logger log(LogLevel::kError, LogFormat::kText);
  Notification accepted;
  Acceptor acceptor(std::move(listeners), {::geteuid(), ::getegid()}, log, [&](UniqueFd socket) {
    EXPECT_TRUE(WriteAll(socket, "hi").ok());
    accepted.Notify();
  });
  ASSERT_TRUE(acceptor.Start().ok());
  auto client = ConnectUnix(path);
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(accepted.WaitForNotificationWithTimeout(absl::Seconds(5)));
  EXPECT_EQ(*ReadAll(*client, 16), "hi");
  acceptor.Stop();
  acceptor.Stop();
  // Still open for a successor: a client that comes now waits.
  const auto left = acceptor.TakeListeners();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_TRUE(ConnectUnix(path).ok());
}

}  // namespace
}  // namespace berth
