#include "client/attach/sent_input.h"

#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace berth::client {
namespace {

TEST(SentInputTest, WhatTheShimHasIsNotSentAgain) {
  SentInput input;
  input.Begin();
  input.Add("abc");
  input.Add("def");
  input.Taken(4);
  input.Begin();
  input.Taken(5);
  EXPECT_EQ(input.AwaitResume(), "f");
}

TEST(SentInputTest, ACallThatSaysNothingResumesNothing) {
  SentInput input;
  input.Begin();
  input.Add("abc");
  input.Begin();
  std::thread other([&] { input.Stop(); });
  EXPECT_EQ(input.AwaitResume(), std::nullopt);
  other.join();
}

TEST(SentInputTest, RoomComesWithWhatIsTaken) {
  SentInput input;
  input.Begin();
  EXPECT_TRUE(input.AwaitRoom());
  input.Add(std::string(SentInput::kWindowBytes, 'x'));
  EXPECT_TRUE(input.IsFull());
  std::thread other([&] { input.Taken(1); });
  EXPECT_TRUE(input.AwaitRoom());
  other.join();
  input.Add("x");
  std::thread last([&] { input.Stop(); });
  EXPECT_FALSE(input.AwaitRoom());
  last.join();
}

TEST(SentInputTest, AProcessThatBeganAnewGetsWhatTheOldOneDidNot) {
  SentInput input;
  input.Begin();
  input.Add("abcdef");
  input.Taken(4);
  input.Begin();
  input.Taken(0);
  EXPECT_EQ(input.AwaitResume(), "ef");
  input.Taken(2);
  EXPECT_EQ(input.AwaitResume(), "");
}

TEST(SentInputTest, AKeyThatDidNotArriveIsSeen) {
  SentInput input;
  input.Begin();
  input.Add("\x03");
  EXPECT_TRUE(input.Contains('\x03'));
  input.Taken(1);
  EXPECT_FALSE(input.Contains('\x03'));
}

}  // namespace
}  // namespace berth::client
