#include "shim/io/attach_hub.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "shim/io/attach_server.h"

namespace berth::io {
namespace {

using attach::FrameType;
using attach::Hello;

class AttachTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    loop_ = *Loop::Create();
    std::string path = ::testing::TempDir() + "/attach.XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  void TearDown() override { (void)RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_); }

  void MakeHub(AttachHub::Input input, AttachHub::Terminal terminal = AttachHub::Terminal::kNo,
               absl::Duration patience = AttachHub::kPatience) {
    hub_ = std::make_unique<AttachHub>(*loop_, terminal, input, patience);
    auto server = AttachServer::Start(
        *loop_, directory_, [this](const std::string& exec_id) -> absl::StatusOr<AttachHub*> {
          if (!exec_id.empty()) return absl::NotFoundError("no such exec");
          return hub_.get();
        });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  template <typename Condition>
  bool RunUntil(Condition done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    for (;;) {
      if (done()) return true;
      if (absl::Now() > deadline) return false;
      EXPECT_TRUE(loop_->RunOnce(absl::Milliseconds(5)).ok());
    }
  }
  struct Client {
    UniqueFd socket;
    attach::FrameReader reader;
    std::string out, err, refused;
    uint64_t dropped = 0;
    std::optional<uint64_t> taken;
    bool accepted = false, terminal = false, ended = false, closed = false;
    // Reads what is there.
    void Read() {
      char buffer[8192];
      const ssize_t got = ::recv(socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got == 0) closed = true;
      if (got <= 0) return;
      reader.Add(absl::string_view(buffer, got));
      for (auto frame = reader.Next(); frame.ok() && frame->has_value(); frame = reader.Next()) {
        const std::string& payload = (*frame)->payload;
        switch ((*frame)->type) {
          case FrameType::kAccepted:
            accepted = true;
            terminal = payload == std::string(1, '\1');
            break;
          case FrameType::kOutput:
            out += payload;
            break;
          case FrameType::kErrorOutput:
            err += payload;
            break;
          case FrameType::kRefused:
            refused = payload;
            break;
          case FrameType::kDropped:
            dropped += *attach::DecodeCount(payload);
            break;
          case FrameType::kEnded:
            ended = true;
            break;
          case FrameType::kTaken:
            taken = *attach::DecodeCount(payload);
            break;
        }
      }
    }
  };
  std::unique_ptr<Client> Connect(const Hello& hello) {
    auto client = std::make_unique<Client>();
    client->socket = *ConnectUnix(directory_ + "/attach", SOCK_NONBLOCK);
    EXPECT_TRUE(WriteAll(client->socket, *attach::EncodeHello(hello)).ok());
    return client;
  }
  std::unique_ptr<Client> Attached(const Hello& hello) {
    auto client = Connect(hello);
    EXPECT_TRUE(RunUntil([&] {
      client->Read();
      return client->accepted;
    }));
    return client;
  }
  bool End() {
    bool ended = false;
    hub_->End(absl::Milliseconds(300), [&] { ended = true; });
    return RunUntil([&] { return ended; });
  }
  static std::string ReadSome(const UniqueFd& pipe) {
    char buffer[4096];
    const ssize_t got = ::read(pipe.get(), buffer, sizeof(buffer));
    return got > 0 ? std::string(buffer, got) : got == 0 ? "END" : "";
  }

  std::unique_ptr<Loop> loop_;
  std::string directory_;
  std::unique_ptr<AttachHub> hub_;
  std::unique_ptr<AttachServer> server_;
};

TEST_F(AttachTest, EveryClientGetsWhatItAskedFor) {
  MakeHub(AttachHub::Input::kNone);
  const auto both = Attached(Hello{});
  const auto errors = Attached(Hello{.output = false});
  EXPECT_FALSE(both->terminal);
  hub_->Output(FrameType::kOutput, "out");
  hub_->Output(FrameType::kErrorOutput, "err");
  ASSERT_TRUE(End());
  both->Read();
  errors->Read();
  EXPECT_EQ(both->out, "out");
  EXPECT_EQ(both->err, "err");
  EXPECT_EQ(errors->out, "");
  EXPECT_EQ(errors->err, "err");
  EXPECT_TRUE(both->ended && errors->ended);
}

TEST_F(AttachTest, SlowClientLosesAndIsToldWhileOthersGetAll) {
  MakeHub(AttachHub::Input::kNone);
  const auto slow = Attached(Hello{});
  const auto quick = Attached(Hello{});
  const std::string chunk(16 << 10, 'x');
  constexpr int kChunks = 256;  // 4 MiB: more than buffer and socket hold
  for (int i = 0; i < kChunks; ++i) {
    hub_->Output(FrameType::kOutput, chunk);
    EXPECT_TRUE(hub_->HasRoom());
    ASSERT_TRUE(RunUntil([&] {
      quick->Read();
      return quick->out.size() == (i + 1) * chunk.size();
    }));
  }
  EXPECT_EQ(quick->dropped, 0u);
  EXPECT_GT(hub_->dropped_bytes(), 0u);
  ASSERT_TRUE(RunUntil([&] {
    slow->Read();
    return slow->dropped > 0;
  }));
  hub_->Output(FrameType::kOutput, "after");
  EXPECT_TRUE(RunUntil([&] {
    slow->Read();
    return slow->out.size() + slow->dropped == kChunks * chunk.size() + 5;
  }));
  EXPECT_EQ(slow->dropped, hub_->dropped_bytes());
}

TEST_F(AttachTest, LosslessClientMakesTheProcessWait) {
  MakeHub(AttachHub::Input::kNone);
  bool resumed = false;
  hub_->set_on_room([&] { resumed = true; });
  const auto client = Attached(Hello{.lossless = true});
  const std::string chunk(16 << 10, 'x');
  size_t sent = 0;
  while (hub_->HasRoom() && sent < (64u << 20)) {
    hub_->Output(FrameType::kOutput, chunk);
    sent += chunk.size();
  }
  ASSERT_LT(sent, 64u << 20);
  ASSERT_TRUE(RunUntil([&] {
    client->Read();
    return resumed && client->out.size() == sent;
  }));
  EXPECT_EQ(client->dropped, 0u);
  EXPECT_TRUE(hub_->HasRoom());
}

TEST_F(AttachTest, LosslessClientThatLeavesHoldsUpNobody) {
  MakeHub(AttachHub::Input::kNone);
  bool resumed = false;
  hub_->set_on_room([&] { resumed = true; });
  auto client = Attached(Hello{.lossless = true});
  while (hub_->HasRoom()) hub_->Output(FrameType::kOutput, std::string(16 << 10, 'x'));
  client.reset();
  EXPECT_TRUE(RunUntil([&] { return resumed; }));
  EXPECT_EQ(hub_->client_count(), 0u);
}

TEST_F(AttachTest, InputOfSeveralReachesTheProcessAlsoWhenSentBeforeTheStart) {
  MakeHub(AttachHub::Input::kStays);
  const auto first = Attached(Hello{.input = true});
  ASSERT_TRUE(WriteAll(first->socket, "early ").ok());
  Pipe pipe = *MakePipe(O_NONBLOCK);
  ASSERT_TRUE(hub_->ConnectInput(std::move(pipe.write)).ok());
  std::string input;
  const auto input_is = [&](const std::string& wanted) {
    return RunUntil([&] {
      input += ReadSome(pipe.read);
      return input == wanted;
    });
  };
  EXPECT_TRUE(input_is("early ")) << input;
  auto second = Attached(Hello{.input = true});
  ASSERT_TRUE(WriteAll(second->socket, "later").ok());
  second.reset();  // closes both ways: what it wrote counts all the same
  EXPECT_TRUE(input_is("early later")) << input;
  hub_->CloseInput();
  EXPECT_TRUE(input_is("early laterEND")) << input;
}

TEST_F(AttachTest, InputEndsWithTheFirstClientWhenItIsToBeSo) {
  MakeHub(AttachHub::Input::kFirstClient);
  Pipe pipe = *MakePipe(O_NONBLOCK);
  ASSERT_TRUE(hub_->ConnectInput(std::move(pipe.write)).ok());
  const auto client = Attached(Hello{.input = true});
  const std::string much(300'000, 'i');  // more than the pipe takes at a time
  std::string input;
  size_t sent = 0;
  ASSERT_TRUE(RunUntil([&] {
    const ssize_t put = ::send(client->socket.get(), much.data() + sent, much.size() - sent,
                               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put > 0) sent += put;
    if (sent == much.size()) ::shutdown(client->socket.get(), SHUT_WR);
    input += ReadSome(pipe.read);
    return input.size() >= much.size() + 3;
  }));
  EXPECT_TRUE(input == much + "END");
  hub_->Output(FrameType::kOutput, "still read");
  ASSERT_TRUE(RunUntil([&] {
    client->Read();
    return client->out == "still read";
  }));
}

TEST_F(AttachTest, RefusalsSayWhy) {
  MakeHub(AttachHub::Input::kNone);
  const auto refusal = [&](std::unique_ptr<Client> client) {
    EXPECT_TRUE(RunUntil([&] {
      client->Read();
      return client->closed;
    }));
    EXPECT_FALSE(client->accepted);
    return client->refused;
  };
  EXPECT_NE(refusal(Connect(Hello{.input = true})).find("stdin"), std::string::npos);
  EXPECT_EQ(refusal(Connect(Hello{.exec_id = "other"})), "no such exec");
  auto http = std::make_unique<Client>();
  http->socket = *ConnectUnix(directory_ + "/attach", SOCK_NONBLOCK);
  ASSERT_TRUE(WriteAll(http->socket, "GET / HTTP/1.1\r\n\r\n").ok());
  EXPECT_NE(refusal(std::move(http)).find("no hello"), std::string::npos);
}

TEST_F(AttachTest, ClientThatReadsNothingDelaysTheEndByTheLimitOnly) {
  MakeHub(AttachHub::Input::kNone);
  const auto client = Attached(Hello{});
  for (int i = 0; i < 256; ++i) hub_->Output(FrameType::kOutput, std::string(16 << 10, 'x'));
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(End());
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(300));
  EXPECT_EQ(hub_->client_count(), 0u);
}

class AttachSessionTest : public AttachTest {
 protected:
  static constexpr auto kFirst = AttachHub::Input::kFirstClient;

  // A process that reads `input_` what the clients write.
  void MakeProcess(absl::Duration patience = AttachHub::kPatience,
                   AttachHub::Input input = kFirst) {
    MakeHub(input, AttachHub::Terminal::kNo, patience);
    Pipe pipe = *MakePipe(O_NONBLOCK);
    input_ = std::move(pipe.read);
    ASSERT_TRUE(hub_->ConnectInput(std::move(pipe.write)).ok());
  }
  std::unique_ptr<Client> Enter(const std::string& session) {
    return Attached(Hello{.input = true, .session = session});
  }
  bool AwaitTaken(Client& client, uint64_t bytes) {
    return RunUntil([&] {
      client.Read();
      return client.taken == bytes;
    });
  }
  bool AwaitInput(const std::string& wanted) {
    return RunUntil([&] {
      got_ += ReadSome(input_);
      return got_ == wanted;
    });
  }

  UniqueFd input_;
  std::string got_;
};

TEST_F(AttachSessionTest, AConnectionThatIsLostIsFollowedByOneThatGoesOn) {
  MakeProcess();
  auto first = Enter("s");
  EXPECT_EQ(first->taken, 0u);
  ASSERT_TRUE(WriteAll(first->socket, attach::EncodeInput("abc")).ok());
  ASSERT_TRUE(AwaitTaken(*first, 3));
  // Cut in the middle of a piece.
  ASSERT_TRUE(WriteAll(first->socket, attach::EncodeInput("defg").substr(0, 6)).ok());
  ASSERT_TRUE(AwaitTaken(*first, 5));
  first.reset();
  auto second = Enter("s");
  ASSERT_TRUE(AwaitTaken(*second, 5));
  ASSERT_TRUE(WriteAll(second->socket, attach::EncodeInput("fg") + attach::EncodeInput("")).ok());
  EXPECT_TRUE(AwaitInput("abcdefgEND"));
}

TEST_F(AttachSessionTest, TheNewConnectionTakesTheSessionFromTheOldOne) {
  MakeProcess();
  auto first = Enter("s");
  ASSERT_TRUE(WriteAll(first->socket, attach::EncodeInput("a")).ok());
  ASSERT_TRUE(AwaitTaken(*first, 1));
  auto second = Enter("s");
  ASSERT_TRUE(AwaitTaken(*second, 1));
  ASSERT_TRUE(RunUntil([&] {
    first->Read();
    return first->closed;
  }));
  ASSERT_TRUE(WriteAll(second->socket, attach::EncodeInput("b")).ok());
  EXPECT_TRUE(AwaitInput("ab"));
}

TEST_F(AttachSessionTest, InputEndsWhenNobodyComesBack) {
  MakeProcess(absl::Milliseconds(50));
  auto first = Enter("s");
  ASSERT_TRUE(WriteAll(first->socket, attach::EncodeInput("a")).ok());
  ASSERT_TRUE(AwaitTaken(*first, 1));
  first.reset();
  EXPECT_TRUE(AwaitInput("aEND"));
}

TEST_F(AttachSessionTest, SessionsThatAreOverAreForgottenAtSomeTime) {
  MakeProcess(absl::Milliseconds(1), AttachHub::Input::kStays);
  for (size_t i = 0; i < 3 * AttachHub::kMaxClients; ++i) {
    auto client = Enter(absl::StrCat("s", i));
    EXPECT_EQ(client->taken, 0u);
    ASSERT_TRUE(WriteAll(client->socket, attach::EncodeInput("")).ok());
    client.reset();
    ASSERT_TRUE(RunUntil([&] { return hub_->client_count() == 0; }));
  }
}

}  // namespace
}  // namespace berth::io
