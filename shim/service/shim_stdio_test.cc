// Logs and attach through the built berth-shim, with real containers.
#include <memory>
#include <string>

#include "base/attach/attach.h"
#include "shim/service/shim_fixture.h"

namespace berth::service {
namespace {

using attach::FrameType;
using attach::Hello;

class ShimStdioTest : public ShimTest {
 protected:
  struct Attached {
    UniqueFd socket;
    attach::FrameReader reader;
    std::string out, err, refused;
    bool accepted = false, ended = false, closed = false;
  };
  void Read(Attached& client) {
    char buffer[4096];
    const ssize_t got = ::recv(client.socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got == 0) client.closed = true;
    if (got <= 0) return;
    client.reader.Add(absl::string_view(buffer, got));
    for (auto frame = client.reader.Next(); frame.ok() && frame->has_value();
         frame = client.reader.Next()) {
      if ((*frame)->type == FrameType::kAccepted) client.accepted = true;
      if ((*frame)->type == FrameType::kOutput) client.out += (*frame)->payload;
      if ((*frame)->type == FrameType::kErrorOutput) client.err += (*frame)->payload;
      if ((*frame)->type == FrameType::kRefused) client.refused = (*frame)->payload;
      if ((*frame)->type == FrameType::kEnded) client.ended = true;
    }
  }
  std::unique_ptr<Attached> Attach(const Hello& hello) {
    auto client = std::make_unique<Attached>();
    client->socket = *ConnectUnix(absl::StrCat(bundle_, "/attach"), SOCK_NONBLOCK);
    EXPECT_TRUE(WriteAll(client->socket, *attach::EncodeHello(hello)).ok());
    EXPECT_TRUE(RunUntil([&] {
      Read(*client);
      return client->accepted || client->closed;
    }));
    return client;
  }
  void ReadToClose(Attached& client) {
    EXPECT_TRUE(RunUntil([&] {
      Read(client);
      return client.closed;
    })) << client.out;
  }
  absl::Status CreateWith(const std::string& in, const std::string& out, bool terminal = false) {
    auto request = CreateRequest(out, terminal);
    request.set_stdin(in);
    request.set_stderr(out);
    return Call<v2::CreateTaskResponse>("Create", request).status();
  }
  std::string LogPath() { return absl::StrCat(directory_, "/logs/c-json.log"); }
  std::string LogUri(absl::string_view query = "") {
    return absl::StrCat("berth-log://", LogPath(), query);
  }
  std::string Log() {
    const auto text = ReadFile(LogPath());
    return text.ok() ? *text : "";
  }
};

TEST_F(ShimStdioTest, LogIsWholeWhenDeleteAnswersAndAttachedClientsGetACopy) {
  WriteConfig("echo out; echo err >&2; exit 0");
  StartShim();
  ASSERT_TRUE(CreateWith("", LogUri("?driver=json-file&max-size=8192&max-file=2")).ok())
      << ShimLog();
  const auto first = Attach(Hello{});
  const auto second = Attach(Hello{.error_output = false});
  ASSERT_TRUE(Start().ok());
  ReadToClose(*first);
  ReadToClose(*second);
  EXPECT_TRUE(first->ended && second->ended);
  EXPECT_EQ(first->out, "out\n");
  EXPECT_EQ(first->err, "err\n");
  EXPECT_EQ(second->err, "");
  EXPECT_EQ(WaitStatus(), 0);
  ASSERT_TRUE(Delete().ok());
  const std::string log = Log();
  EXPECT_TRUE(absl::StrContains(log, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\"20"))
      << log;
  EXPECT_TRUE(absl::StrContains(log, "{\"log\":\"err\\n\",\"stream\":\"stderr\"")) << log;
}

TEST_F(ShimStdioTest, LogGoesOnWithoutTheDaemonAndIsRotated) {
  WriteConfig("for i in $(seq 1 400); do echo line $i of the log; done; sleep 100");
  StartShim();
  ASSERT_TRUE(CreateWith("", LogUri("?max-size=4096&max-file=3")).ok());
  daemon_.reset();
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(RunUntil([&] { return absl::StrContains(Log(), "line 400 of"); }));
  for (const char* suffix : {"", ".1", ".2"}) {
    const auto text = ReadFile(LogPath() + suffix);
    ASSERT_TRUE(text.ok()) << suffix;
    EXPECT_LE(text->size(), 4096u);
    EXPECT_EQ(text->back(), '\n');
  }
  EXPECT_NE(::access((LogPath() + ".3").c_str(), F_OK), 0);
  KillAndDelete();
}

TEST_F(ShimStdioTest, InputOfAnAttachedClientEndsTheProcess) {
  WriteConfig("cat; echo over");
  StartShim();
  ASSERT_TRUE(CreateWith("berth-attach://?once=true", "berth-attach://").ok());
  const auto client = Attach(Hello{.input = true, .lossless = true});
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(WriteAll(client->socket, "typed\n").ok());
  ASSERT_EQ(::shutdown(client->socket.get(), SHUT_WR), 0);
  ReadToClose(*client);
  EXPECT_EQ(client->out, "typed\nover\n");
  EXPECT_EQ(WaitStatus(), 0);
  ASSERT_TRUE(Delete().ok());
}

TEST_F(ShimStdioTest, LosslessExecDeliversEverythingThoughItsClientIsSlow) {
  RunTask("sleep 100");
  auto request = Of<v2::ExecProcessRequest>("e");
  request.set_stdout("berth-attach://");
  request.mutable_spec()->set_value(Fill(kExec, "head -c 2000000 /dev/zero", false));
  ASSERT_TRUE(Call<Empty>("Exec", request).ok());
  const auto client = Attach(Hello{.exec_id = "e", .lossless = true});
  ASSERT_TRUE(Start("e").ok());
  ASSERT_TRUE(loop_->RunOnce(absl::Milliseconds(300)).ok());  // nothing is read meanwhile
  ReadToClose(*client);
  EXPECT_EQ(client->out.size(), 2'000'000u);
  EXPECT_EQ(WaitStatus("e"), 0);
  EXPECT_TRUE(Delete("e").ok());
  KillAndDelete();
}

TEST_F(ShimStdioTest, TerminalIsAttachedToByTwo) {
  WriteConfig("read line; echo got $line", true);
  StartShim();
  ASSERT_TRUE(CreateWith("berth-attach://", LogUri(), true).ok());
  const auto typing = Attach(Hello{.input = true});
  const auto watching = Attach(Hello{});
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(WriteAll(typing->socket, "word\n").ok());
  ReadToClose(*typing);
  ReadToClose(*watching);
  EXPECT_TRUE(absl::StrContains(typing->out, "got word\r\n")) << typing->out;
  EXPECT_EQ(typing->out, watching->out);
  EXPECT_EQ(WaitStatus(), 0);
  ASSERT_TRUE(Delete().ok());
  EXPECT_TRUE(absl::StrContains(Log(), "got word\\r\\n")) << Log();
}

TEST_F(ShimStdioTest, AttachIsRefusedWithAReason) {
  RunTask("sleep 100");
  EXPECT_TRUE(absl::StrContains(Attach(Hello{.exec_id = "no"})->refused, "\"no\""));
  EXPECT_TRUE(absl::StrContains(Attach(Hello{.input = true})->refused, "stdin"));
  KillAndDelete();
}

TEST_F(ShimStdioTest, LogThatCannotBeMadeFailsCreate) {
  WriteConfig("true");
  StartShim();
  const absl::Status status = CreateWith("", "berth-log:///proc/no/log");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "/proc/no")) << status;
}

}  // namespace
}  // namespace berth::service
