#include "base/attach/attach.h"

#include <vector>

#include "gtest/gtest.h"

namespace berth::attach {
namespace {

TEST(AttachTest, HelloComesBackFromAnyPieces) {
  const std::string bytes =
      *EncodeHello(Hello{.exec_id = "e1", .input = true, .lossless = true, .session = "s-1"});
  std::string pieces;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    pieces.push_back(bytes[i]);
    ASSERT_FALSE(TakeHello(pieces)->has_value()) << i;
  }
  pieces += bytes.substr(bytes.size() - 1) + "input";
  const auto hello = TakeHello(pieces);
  ASSERT_TRUE(hello.ok() && hello->has_value());
  EXPECT_EQ((*hello)->exec_id, "e1");
  EXPECT_TRUE((*hello)->input && (*hello)->output && (*hello)->error_output && (*hello)->lossless);
  EXPECT_EQ((*hello)->session, "s-1");
  EXPECT_EQ(pieces, "input");
}

TEST(AttachTest, WhatIsNoHelloIsRefused) {
  for (std::string bytes :
       {std::string("GET / HTTP"), std::string("BATT\2\0\0\0", 8), std::string("BATT\1\x40\0\0", 8),
        std::string("BATT\1\x10\0\0\0", 9), std::string("BATT\1\0\xff\xff", 8)}) {
    EXPECT_EQ(TakeHello(bytes).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(EncodeHello(Hello{.exec_id = std::string(kMaxExecIdBytes + 1, 'x')}).ok());
}

TEST(AttachTest, PiecesOfInputComeBackUpToTheEnd) {
  const std::string bytes = EncodeInput("abc") + EncodeInput("d") + EncodeInput("") + "more";
  InputReader whole;
  InputReader single;
  std::string of_whole, of_single;
  whole.Add(bytes, [&](absl::string_view piece) { of_whole.append(piece.data(), piece.size()); });
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(single.has_ended(), i >= bytes.size() - 4);
    single.Add(absl::string_view(bytes).substr(i, 1),
               [&](absl::string_view piece) { of_single.append(piece.data(), piece.size()); });
  }
  EXPECT_EQ(of_whole, "abcd");
  EXPECT_EQ(of_single, "abcd");
  EXPECT_TRUE(whole.has_ended());
}

TEST(AttachTest, FramesComeBack) {
  FrameReader reader;
  const std::string bytes = EncodeFrame(FrameType::kAccepted, std::string(1, '\1')) +
                            EncodeFrame(FrameType::kErrorOutput, "oops") +
                            EncodeDropped(uint64_t{5} << 32 | 7) +
                            EncodeFrame(FrameType::kEnded, "");
  std::vector<FrameReader::Frame> frames;
  for (const char byte : bytes) {
    reader.Add(absl::string_view(&byte, 1));
    const auto frame = reader.Next();
    ASSERT_TRUE(frame.ok());
    if (frame->has_value()) frames.push_back(**frame);
  }
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[1].type, FrameType::kErrorOutput);
  EXPECT_EQ(frames[1].payload, "oops");
  EXPECT_EQ(*DecodeCount(frames[2].payload), uint64_t{5} << 32 | 7);
  EXPECT_EQ(frames[3].type, FrameType::kEnded);
}

TEST(AttachTest, WhatIsNoFrameIsRefused) {
  FrameReader reader;
  reader.Add(std::string("\x09\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kDataLoss);
  FrameReader other;
  other.Add(std::string("\1\0\0\0\x7f\0\0\0", 8));
  EXPECT_EQ(other.Next().status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace berth::attach
