// The daemon's doors besides the unix socket: who may come in by TCP, and the metrics page.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/main/call_metrics.h"
#include "server/main/config.h"
#include "server/main/metrics_server.h"
#include "server/main/tcp_door.h"

namespace berth {
namespace {

TEST(TcpDoorTest, NothingConfiguredMeansNoDoor) {
  const auto door = ChooseTcpDoor(TcpConfig());
  ASSERT_TRUE(door.ok());
  EXPECT_EQ(*door, TcpDoor::kNone);
}

TEST(TcpDoorTest, WithoutMutualTlsItStaysShut) {
  TcpConfig config;
  config.address = "127.0.0.1:2376";
  EXPECT_EQ(ChooseTcpDoor(config).status().code(), absl::StatusCode::kFailedPrecondition);
  config.tls_cert = "/c";
  config.tls_key = "/k";  // TLS that asks clients for nothing
  EXPECT_EQ(ChooseTcpDoor(config).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(TcpDoorTest, PlaintextIsForLoopbackAndOnlyWhereAskedFor) {
  TcpConfig config;
  config.address = "127.0.0.1:2376";
  config.plaintext = "loopback";
  const auto door = ChooseTcpDoor(config);
  ASSERT_TRUE(door.ok()) << door.status();
  EXPECT_EQ(*door, TcpDoor::kPlaintext);
  config.address = "0.0.0.0:2376";
  EXPECT_EQ(ChooseTcpDoor(config).status().code(), absl::StatusCode::kFailedPrecondition);
  config.address = "127.0.0.1:2376";
  config.tls_ca = "/ca";
  EXPECT_EQ(ChooseTcpDoor(config).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(TcpDoorTest, MutualTlsServesAnyAddress) {
  TcpConfig config;
  config.address = "0.0.0.0:2376";
  config.tls_ca = config.tls_cert = config.tls_key = "/etc/berth/a.pem";
  const auto door = ChooseTcpDoor(config);
  ASSERT_TRUE(door.ok()) << door.status();
  EXPECT_EQ(*door, TcpDoor::kMutualTls);
}

TEST(CallMetricsTest, CountsByCodeAndSortsIntoBuckets) {
  CallMetrics metrics;
  metrics.Record("/a.B/C", 0, absl::Milliseconds(1));  // a bound belongs to its bucket
  metrics.Record("/a.B/C", 0, absl::Milliseconds(30));
  metrics.Record("/a.B/C", 5, absl::Seconds(60));
  const std::string text = metrics.Text();
  for (const char* line : {"berth_grpc_calls_total{method=\"/a.B/C\",code=\"0\"} 2\n",
                           "berth_grpc_calls_total{method=\"/a.B/C\",code=\"5\"} 1\n",
                           "berth_grpc_call_seconds_bucket{method=\"/a.B/C\",le=\"0.0005\"} 0\n",
                           "berth_grpc_call_seconds_bucket{method=\"/a.B/C\",le=\"0.001\"} 1\n",
                           "berth_grpc_call_seconds_bucket{method=\"/a.B/C\",le=\"0.05\"} 2\n",
                           "berth_grpc_call_seconds_bucket{method=\"/a.B/C\",le=\"10\"} 2\n",
                           "berth_grpc_call_seconds_bucket{method=\"/a.B/C\",le=\"+Inf\"} 3\n",
                           "berth_grpc_call_seconds_count{method=\"/a.B/C\"} 3\n"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << text;
  }
  EXPECT_EQ(EscapeLabel("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
}

TEST(MetricsAnswerTest, OnePageByGetAndHead) {
  const auto page = [] { return std::string("x 1\n"); };
  const std::string answer = MetricsAnswer("GET /v1/metrics HTTP/1.1\r\nHost: a\r\n\r\n", page);
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(absl::StrContains(answer, "Content-Length: 4\r\n"));
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\nx 1\n"));
  EXPECT_TRUE(absl::EndsWith(MetricsAnswer("HEAD /metrics?a HTTP/1.0\r\n\r\n", page), "\r\n\r\n"));
  EXPECT_TRUE(absl::StartsWith(MetricsAnswer("GET / HTTP/1.1\r\n\r\n", page), "HTTP/1.1 404"));
  EXPECT_TRUE(
      absl::StartsWith(MetricsAnswer("POST /metrics HTTP/1.1\r\n\r\n", page), "HTTP/1.1 405"));
  EXPECT_TRUE(absl::StartsWith(MetricsAnswer("\r\n\r\n", page), "HTTP/1.1 400"));
}

TEST(MetricsServerTest, ServesAndStopsWithAClientThatSaysNothing) {
  auto server = MetricsServer::Start("127.0.0.1:0", [] { return std::string("x 1\n"); });
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_NE((*server)->address(), "127.0.0.1:0");
  EXPECT_FALSE(MetricsServer::Start((*server)->address(), [] { return std::string(); }).ok());
  (*server)->Stop();
}

}  // namespace
}  // namespace berth
