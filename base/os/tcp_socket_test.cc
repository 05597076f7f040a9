#include "base/os/tcp_socket.h"

#include <fcntl.h>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(TcpSocketTest, OnlyNumericAddressesAreTaken) {
  EXPECT_TRUE(*IsLoopback("127.0.0.1:1"));
  EXPECT_TRUE(*IsLoopback("127.9.9.9:1"));
  EXPECT_TRUE(*IsLoopback("[::1]:65535"));
  EXPECT_FALSE(*IsLoopback("0.0.0.0:1"));
  EXPECT_FALSE(*IsLoopback("128.0.0.1:1"));
  EXPECT_FALSE(*IsLoopback("[::]:1"));
  for (const char* bad : {"", ":1", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                          "127.0.0.1:-1", "::1:1", "[127.0.0.1]:1", "1.2.3:4"}) {
    EXPECT_EQ(IsLoopback(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(TcpSocketTest, AListenerIsBoundOnceAndClosedOnExec) {
  const auto first = ListenTcp("127.0.0.1:0", 8);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_NE(::fcntl(first->get(), F_GETFD) & FD_CLOEXEC, 0);
  const auto address = BoundTcpAddress(*first);
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->substr(0, 10), "127.0.0.1:");
  EXPECT_NE(*address, "127.0.0.1:0");
  EXPECT_FALSE(ListenTcp(*address, 8).ok());
}

}  // namespace
}  // namespace berth
