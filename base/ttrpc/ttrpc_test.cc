#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "base/ttrpc/client.h"
#include "base/ttrpc/envelope.h"
#include "base/ttrpc/frame.h"
#include "base/ttrpc/server.h"
#include "gtest/gtest.h"

namespace berth::ttrpc {
namespace {

TEST(FrameTest, HeaderIsTenBigEndianBytes) {
  EXPECT_EQ(EncodeFrame(0x01020304, FrameType::kResponse, "ab"),
            std::string("\0\0\0\2\1\2\3\4\2\0ab", 12));
}

TEST(FrameTest, ReaderJoinsFramesThatArriveByteByByte) {
  FrameReader reader;
  std::vector<std::string> seen;
  const std::string bytes =
      EncodeFrame(1, FrameType::kRequest, "first") + EncodeFrame(3, FrameType::kRequest, "");
  for (const char byte : bytes) {
    reader.Feed(absl::string_view(&byte, 1),
                [&](const FrameHeader& header, absl::string_view data) {
                  seen.push_back(std::to_string(header.stream_id) + std::string(data));
                  return FrameReader::Verdict::kContinue;
                });
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"1first", "3"}));
}

TEST(FrameTest, OversizedFrameIsReportedAndSkipped) {
  FrameReader reader;
  std::vector<uint32_t> seen;
  std::string bytes = EncodeFrame(5, FrameType::kRequest, std::string(kMaxMessageBytes + 1, 'x'));
  bytes += EncodeFrame(7, FrameType::kRequest, "ok");
  for (size_t at = 0; at < bytes.size(); at += 65536) {
    reader.Feed(absl::string_view(bytes).substr(at, 65536),
                [&](const FrameHeader& header, absl::string_view data) {
                  seen.push_back(header.stream_id);
                  EXPECT_EQ(data, header.stream_id == 5 ? "" : "ok");
                  return FrameReader::Verdict::kContinue;
                });
  }
  EXPECT_EQ(seen, (std::vector<uint32_t>{5, 7}));
}

TEST(EnvelopeTest, RequestHasTheBytesOfItsProtobuf) {
  const std::string bytes = EncodeRequest(
      {.service = "s", .method = "m", .payload = "p", .timeout_ns = 300, .metadata = {{"k", "v"}}});
  EXPECT_EQ(bytes, std::string("\x0a\1s\x12\1m\x1a\1p\x20\xac\2\x2a\6\x0a\1k\x12\1v"));
  const auto decoded = DecodeRequest(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->service, "s");
  EXPECT_EQ(decoded->method, "m");
  EXPECT_EQ(decoded->payload, "p");
  EXPECT_EQ(decoded->timeout_ns, 300);
  EXPECT_EQ(decoded->metadata, (Metadata{{"k", "v"}}));
}

TEST(EnvelopeTest, MalformedBytesAreRefused) {
  for (const std::string& bytes :
       {std::string("\x0a\5s"), std::string("\x0a"), std::string("\xff"), std::string("\x03"),
        std::string("\x2a\2\x0a\5"),
        std::string("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}) {
    EXPECT_EQ(DecodeRequest(bytes).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(EnvelopeTest, UnknownFieldsAreSkipped) {
  const auto decoded =
      DecodeRequest(std::string("\x32\1z\x3d\1\2\3\4\x41\1\2\3\4\5\6\7\x08\x0a\1s", 20));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->service, "s");
}

TEST(EnvelopeTest, ErrorKeepsItsCodeAndMessage) {
  const auto decoded = DecodeResponse(EncodeResponse(absl::NotFoundError("no such task")));
  EXPECT_EQ(decoded.status(), absl::NotFoundError("no such task"));
  EXPECT_EQ(DecodeResponse(std::string("\x0a\2\x08\x63")).status().code(),
            absl::StatusCode::kUnknown);
}

class TtrpcTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = *Loop::Create();
    server_ = std::make_unique<Server>(*loop_);
    server_->Register("test.Echo", "Echo", [](Call call) {
      call.Reply(call.payload() + std::string(call.MetadataValue("suffix")));
    });
    server_->Register("test.Echo", "Fail",
                      [](Call call) { call.Reply(absl::NotFoundError("nothing here")); });
    server_->Register("test.Echo", "Drop", [](Call) {});
    server_->Register("test.Echo", "Hold", [this](Call call) { held_.push_back(std::move(call)); });
    SocketPair pair = *MakeSocketPair(SOCK_STREAM);
    ASSERT_TRUE(server_->AddConnection(std::move(pair.first)).ok());
    client_ = std::make_unique<Client>(*loop_, std::move(pair.second),
                                       [this](const absl::Status& reason) { closed_ = reason; });
  }

  // Runs the loop until `done`, at most 5 s.
  template <typename Condition>
  bool RunUntil(Condition done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    while (!done() && absl::Now() < deadline) {
      EXPECT_TRUE(loop_->RunOnce(absl::Milliseconds(50)).ok());
    }
    return done();
  }
  absl::StatusOr<std::string> CallAndWait(absl::string_view method, std::string payload,
                                          Metadata metadata = {},
                                          absl::Duration timeout = absl::Seconds(5)) {
    std::optional<absl::StatusOr<std::string>> result;
    client_->Call("test.Echo", method, std::move(payload), std::move(metadata), timeout,
                  [&](absl::StatusOr<std::string> got) { result = std::move(got); });
    EXPECT_FALSE(result.has_value()) << "done ran inside Call";
    EXPECT_TRUE(RunUntil([&] { return result.has_value(); }));
    return result.has_value() ? *result : absl::InternalError("no answer");
  }

  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
  std::vector<Call> held_;  // goes before the server
  std::optional<absl::Status> closed_;
};

TEST_F(TtrpcTest, AnswerCarriesPayloadAndSeesMetadata) {
  EXPECT_EQ(*CallAndWait("Echo", "hello", {{"suffix", "!"}}), "hello!");
}

TEST_F(TtrpcTest, ErrorsArriveWithTheirCode) {
  EXPECT_EQ(CallAndWait("Fail", "").status(), absl::NotFoundError("nothing here"));
  EXPECT_EQ(CallAndWait("Missing", "").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CallAndWait("Drop", "").status().code(), absl::StatusCode::kInternal);
}

TEST_F(TtrpcTest, MessageOfFourMebibytesPassesAndALongerOneIsRefused) {
  const std::string large((4u << 20) - 100, 'x');
  EXPECT_EQ(*CallAndWait("Echo", large), large);
  EXPECT_EQ(CallAndWait("Echo", std::string((4u << 20) + 1, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*CallAndWait("Echo", "after"), "after");
}

TEST_F(TtrpcTest, AnswerAboveTheLimitBecomesAnError) {
  EXPECT_EQ(
      CallAndWait("Echo", std::string(3u << 20, 'x'), {{"suffix", std::string(1u << 20, 'y')}})
          .status()
          .code(),
      absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*CallAndWait("Echo", "after"), "after");
}

TEST_F(TtrpcTest, TimeoutFailsTheCallAndALateAnswerIsIgnored) {
  EXPECT_EQ(CallAndWait("Hold", "", {}, absl::Milliseconds(20)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  ASSERT_EQ(held_.size(), 1u);
  EXPECT_NE(held_[0].deadline(), absl::InfiniteFuture());
  held_[0].Reply("late");
  EXPECT_EQ(*CallAndWait("Echo", "next"), "next");
}

TEST_F(TtrpcTest, AnswersMayComeInAnyOrder) {
  std::vector<std::string> order;
  for (const char* name : {"a", "b"}) {
    client_->Call("test.Echo", "Hold", name, {}, absl::InfiniteDuration(),
                  [&](absl::StatusOr<std::string> got) { order.push_back(*got); });
  }
  ASSERT_TRUE(RunUntil([&] { return held_.size() == 2; }));
  EXPECT_EQ(held_[0].deadline(), absl::InfiniteFuture());
  held_[1].Reply("second");
  held_[0].Reply("first");
  ASSERT_TRUE(RunUntil([&] { return order.size() == 2; }));
  EXPECT_EQ(order, (std::vector<std::string>{"second", "first"}));
}

TEST_F(TtrpcTest, LostConnectionFailsPendingCallsWithUnavailable) {
  SocketPair pair = *MakeSocketPair(SOCK_STREAM);
  client_ = std::make_unique<Client>(*loop_, std::move(pair.second),
                                     [this](const absl::Status& reason) { closed_ = reason; });
  absl::Status result;
  client_->Call("test.Echo", "Hold", "", {}, absl::InfiniteDuration(),
                [&](absl::StatusOr<std::string> got) {
                  EXPECT_FALSE(closed_.has_value()) << "calls fail before on_closed runs";
                  result = got.status();
                });
  pair.first.Reset();
  ASSERT_TRUE(RunUntil([&] { return closed_.has_value(); }));
  EXPECT_EQ(result.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(closed_->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CallAndWait("Echo", "").status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TtrpcTest, CloseFailsPendingCallsWithCancelled) {
  absl::Status result;
  client_->Call("test.Echo", "Hold", "", {}, absl::Seconds(5),
                [&](absl::StatusOr<std::string> got) { result = got.status(); });
  client_->Close();
  EXPECT_EQ(result.code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(closed_.has_value());
}

TEST_F(TtrpcTest, ClientMayBeDestroyedInsideItsOwnCallback) {
  bool done = false;
  client_->Call("test.Echo", "Echo", "", {}, absl::Seconds(5), [&](absl::StatusOr<std::string>) {
    client_.reset();
    done = true;
  });
  ASSERT_TRUE(RunUntil([&] { return done; }));
  EXPECT_TRUE(RunUntil([&] { return server_->connections() == 0; }));
}

TEST_F(TtrpcTest, ReplyAfterThePeerHasGoneIsDropped) {
  client_->Call("test.Echo", "Hold", "", {}, absl::InfiniteDuration(),
                [](absl::StatusOr<std::string>) {});
  ASSERT_TRUE(RunUntil([&] { return held_.size() == 1; }));
  client_.reset();
  ASSERT_TRUE(RunUntil([&] { return server_->connections() == 0; }));
  held_[0].Reply("nobody");
}

TEST_F(TtrpcTest, PeerThatNeverReadsItsAnswersIsDropped) {
  SocketPair pair = *MakeSocketPair(SOCK_STREAM);
  ASSERT_TRUE(server_->AddConnection(std::move(pair.first)).ok());
  const std::string frame = EncodeFrame(
      1, FrameType::kRequest,
      EncodeRequest({.service = "test.Echo", .method = "Hold", .payload = "", .metadata = {}}));
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(::write(pair.second.get(), frame.data(), frame.size()),
              static_cast<ssize_t>(frame.size()));
  }
  ASSERT_TRUE(RunUntil([&] { return held_.size() == 8; }));
  for (Call& call : held_) call.Reply(std::string(3u << 20, 'z'));
  EXPECT_TRUE(RunUntil([&] { return server_->connections() == 1; }));
}

TEST_F(TtrpcTest, ListenerAcceptsConnections) {
  const std::string path = ::testing::TempDir() + "/ttrpc_test.sock";
  ASSERT_TRUE(server_->AddListener(*ListenUnix(path, 0600, 16)).ok());
  client_ = std::make_unique<Client>(*loop_, *ConnectUnix(path), [](const absl::Status&) {});
  EXPECT_EQ(*CallAndWait("Echo", "over a name"), "over a name");
  ::unlink(path.c_str());
}

// Two servers, as in two programs of one process: the second has a copy of the first's connection.
TEST_F(TtrpcTest, AnotherServerGoesOnWithAConnection) {
  auto loop = *Loop::Create();
  SocketPair pair = *MakeSocketPair(SOCK_STREAM);
  std::optional<Call> own, waiting, busy;
  const auto make = [&] {
    auto server = std::make_unique<Server>(*loop);
    server->Register("s", "Own", [&](Call call) { own.emplace(std::move(call)); });
    server->Register("s", "Busy", [&](Call call) { busy.emplace(std::move(call)); });
    server->Register(
        "s", "Wait", [&](Call call) { waiting.emplace(std::move(call)); },
        Server::Repeatable::kYes);
    return server;
  };
  auto first = make();
  const UniqueFd copy = *DupFd(pair.second);
  ASSERT_TRUE(first->AddConnection(std::move(pair.second)).ok());
  std::vector<std::string> answers;
  Client client(*loop, std::move(pair.first), [](const absl::Status&) {});
  for (const char* method : {"Own", "Wait", "Busy"}) {
    client.Call("s", method, method, {}, absl::InfiniteDuration(),
                [&answers](absl::StatusOr<std::string> answer) {
                  answers.push_back(answer.ok() ? *answer : std::string(answer.status().message()));
                });
  }
  const auto run_until = [&](auto done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (!done() && absl::Now() < deadline) {
      EXPECT_TRUE(loop->RunOnce(absl::Milliseconds(10)).ok());
    }
    return done();
  };
  ASSERT_TRUE(run_until([&] { return own && waiting && busy; }));
  EXPECT_TRUE(absl::IsUnavailable(first->Save(*own).status())) << "a call is open";
  busy->Reply("busy");
  ASSERT_TRUE(run_until([&] { return answers.size() == 1; }));
  first->SetReading(Connection::Reading::kNo);
  // The beginning of a call comes too early to be read, and its rest later.
  client.Call("s", "Own", "late", {}, absl::InfiniteDuration(), [](absl::StatusOr<std::string>) {});
  EXPECT_TRUE(loop->RunOnce(absl::Milliseconds(20)).ok());
  auto saved = first->Save(*own);
  ASSERT_TRUE(saved.ok()) << saved.status();
  ASSERT_EQ(saved->size(), 1u);
  EXPECT_EQ((*saved)[0].calls.size(), 1u);
  EXPECT_EQ((*saved)[0].own_stream_id, 1u);
  // What the first program had goes without an answer, as execve makes it go.
  SocketPair nobody = *MakeSocketPair(SOCK_STREAM);
  ASSERT_GE(::dup2(nobody.first.get(), (*saved)[0].socket.get()), 0);
  own.reset();
  waiting.reset();
  first.reset();

  auto second = make();
  std::optional<Call> asked;
  ASSERT_TRUE(second->Resume(*DupFd(copy), (*saved)[0], asked).ok());
  ASSERT_TRUE(asked.has_value());
  ASSERT_TRUE(run_until([&] { return waiting.has_value() && own.has_value(); }));
  EXPECT_EQ(waiting->payload(), "Wait");
  EXPECT_EQ(own->payload(), "late");
  asked->Reply("became");
  waiting->Reply("ended");
  ASSERT_TRUE(run_until([&] { return answers.size() == 3; }));
  EXPECT_EQ(answers, (std::vector<std::string>{"busy", "became", "ended"}));
  own.reset();
  waiting.reset();
  asked.reset();
}

TEST_F(TtrpcTest, ACallThatCannotBeAskedAgainIsNotTakenOver) {
  auto loop = *Loop::Create();
  Server server(*loop);
  server.Register("s", "Once", [](Call) {});
  SocketPair pair = *MakeSocketPair(SOCK_STREAM);
  for (const char* method : {"s/Once", "s/Unknown"}) {
    Server::SavedPeer peer;
    peer.calls.push_back({3, method, ""});
    std::optional<Call> own;
    EXPECT_TRUE(absl::IsInvalidArgument(server.Resume(*DupFd(pair.second), peer, own))) << method;
  }
}

}  // namespace
}  // namespace berth::ttrpc
