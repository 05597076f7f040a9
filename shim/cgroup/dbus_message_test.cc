#include "shim/cgroup/dbus_message.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace berth::cgroup {
namespace {

// What another encoder writes for the same call: Peer.Ping with one string.
TEST(DbusMessageTest, EncodesACall) {
  DbusCall call;
  call.serial = 7;
  call.path = "/a";
  call.interface = "i.f";
  call.member = "Go";
  call.destination = "d.e";
  call.signature = "s";
  DbusBody body;
  body.String("hi");
  call.body = body.Take();
  const std::string want(
      "l\1\0\1\7\0\0\0\7\0\0\0\x4e\0\0\0"
      "\1\1o\0\2\0\0\0/a\0\0\0\0\0\0"
      "\2\1s\0\3\0\0\0i.f\0\0\0\0\0"
      "\3\1s\0\2\0\0\0Go\0\0\0\0\0\0"
      "\6\1s\0\3\0\0\0d.e\0\0\0\0\0"
      "\10\1g\0\1s\0\0\0\0"
      "\2\0\0\0hi\0",
      16 + 16 + 16 + 16 + 16 + 14 + 2 - 6 + 7);
  const std::string got = EncodeCall(call);
  EXPECT_EQ(got.substr(0, 12), want.substr(0, 12));
  EXPECT_EQ(got.size() % 8, 7u);  // the header is padded to 8, the body is 7 bytes
  EXPECT_EQ(got.substr(16, 64), want.substr(16, 64));
  EXPECT_EQ(got.substr(got.size() - 7), std::string("\2\0\0\0hi\0", 7));
}

TEST(DbusMessageTest, AlignsPropertiesInAnArray) {
  DbusBody body;
  const size_t begin = body.BeginArray(8);
  body.BooleanProperty("a", 1).NumberProperty("b", 0x1122334455667788u);
  body.EndArray(begin, 8);
  const std::string bytes = body.Take();
  // length, padding, then (1 "a") (sig "b") pad 1, aligned to 8, (1 "b") (sig "t") pad number.
  ASSERT_EQ(bytes.size(), 8u + 16u + 16u + 8u) << bytes.size();
  EXPECT_EQ(bytes[0], 40);
  EXPECT_EQ(bytes.substr(12, 2), std::string("a\0", 2));
  EXPECT_EQ(bytes[bytes.size() - 1], 0x11);
}

TEST(DbusMessageTest, ReadsAnErrorAndWaitsForTheRest) {
  // An error for serial 2: fields reply_serial and error_name, body "no".
  std::string message("l\3\0\1\7\0\0\0\5\0\0\0\x14\0\0\0", 16);
  message += std::string("\5\1u\0\2\0\0\0", 8);
  message += std::string("\4\1s\0\3\0\0\0e.x\0", 12);
  message += std::string(4, '\0');
  message += std::string("\2\0\0\0no\0", 7);
  for (size_t i = 0; i < message.size(); ++i) {
    DbusAnswer partial;
    auto size = DecodeAnswer(absl::string_view(message).substr(0, i), partial);
    ASSERT_TRUE(size.ok()) << i;
    EXPECT_EQ(*size, 0u) << i;
  }
  DbusAnswer answer;
  auto size = DecodeAnswer(message, answer);
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_EQ(*size, message.size());
  EXPECT_EQ(answer.reply_to, 2u);
  EXPECT_TRUE(answer.is_error);
  EXPECT_EQ(answer.error_name, "e.x");
  EXPECT_EQ(answer.text, "no");
}

TEST(DbusMessageTest, SurvivesNonsense) {
  DbusAnswer answer;
  EXPECT_FALSE(DecodeAnswer(std::string(64, 'x'), answer).ok());
  std::string huge("l\2\0\1\377\377\377\177\1\0\0\0\0\0\0\0", 16);
  EXPECT_FALSE(DecodeAnswer(huge, answer).ok());
  std::string broken("l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\4\1s\0\377\377\377\377", 24);
  EXPECT_FALSE(DecodeAnswer(broken, answer).ok());
}

}  // namespace
}  // namespace berth::cgroup
