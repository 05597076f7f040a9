#include "server/main/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/tcp_socket.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

// In /tmp whatever the test's own directory is called: a socket's name holds 107 bytes.
std::string SocketPath(absl::string_view name) {
  return absl::StrCat("/tmp/berth-systemd-test-", name, "-", ::getpid());
}

TEST(ServiceManagerTest, NotifySendsTheStateAsOneDatagram) {
  const std::string path = SocketPath("notify");
  UniqueFd receiver(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(::bind(receiver.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof(address)),
            0);
  ASSERT_EQ(::setenv("NOTIFY_SOCKET", path.c_str(), 1), 0);
  const ServiceManager manager = ServiceManager::FromEnvironment();
  EXPECT_EQ(::getenv("NOTIFY_SOCKET"), nullptr);
  ASSERT_TRUE(manager.Notify("READY=1").ok());
  char buffer[64];
  EXPECT_EQ(::recv(receiver.get(), buffer, sizeof(buffer), MSG_DONTWAIT), 7);
  EXPECT_EQ(std::string(buffer, 7), "READY=1");
  ::unlink(path.c_str());
}

TEST(ServiceManagerTest, WithoutAManagerNotifySucceeds) {
  EXPECT_TRUE(ServiceManager("").Notify("READY=1").ok());
}

TEST(InheritedSocketsTest, VariablesOfAnotherProcessMeanNothing) {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "1", 1);
  const auto sockets = TakeInheritedSockets();
  ASSERT_TRUE(sockets.ok());
  EXPECT_TRUE(sockets->empty());
  EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
}

TEST(InheritedSocketsTest, TakesAListeningSocketWithItsPath) {
  const std::string path = SocketPath("api");
  auto listener = ListenUnix(path, 0660, 1);
  ASSERT_TRUE(listener.ok());
  ASSERT_EQ(::dup2(listener->get(), 3), 3);
  ::setenv("LISTEN_PID", absl::StrCat(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "1", 1);
  const auto sockets = TakeInheritedSockets();
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size(), 1u);
  EXPECT_EQ((*sockets)[0].path, path);
  EXPECT_EQ(::fcntl(3, F_GETFD), FD_CLOEXEC);
  ::unlink(path.c_str());
}

TEST(InheritedSocketsTest, TakesATcpSocketFromItsPredecessor) {
  auto listener = ListenTcp("127.0.0.1:0", 1);
  ASSERT_TRUE(listener.ok());
  const std::string address = *BoundTcpAddress(*listener);
  ASSERT_EQ(::dup2(listener->get(), 3), 3);
  ::unsetenv("LISTEN_PID");
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv(kHandoverVariable, absl::StrCat(::getppid()).c_str(), 1);
  const auto sockets = TakeInheritedSockets();
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size(), 1u);
  EXPECT_EQ((*sockets)[0].path, address);
  EXPECT_EQ(::getenv(kHandoverVariable), nullptr);
}

TEST(InheritedSocketsTest, APredecessorThatIsNotTheParentMeansNothing) {
  ::unsetenv("LISTEN_PID");
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv(kHandoverVariable, absl::StrCat(::getpid()).c_str(), 1);
  const auto sockets = TakeInheritedSockets();
  ASSERT_TRUE(sockets.ok());
  EXPECT_TRUE(sockets->empty());
}

TEST(InheritedSocketsTest, DescriptorThatIsNoListenerIsRefused) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_EQ(::dup2(pipe->read.get(), 3), 3);
  ::setenv("LISTEN_PID", absl::StrCat(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "1", 1);
  EXPECT_FALSE(TakeInheritedSockets().ok());
}

}  // namespace
}  // namespace berth
