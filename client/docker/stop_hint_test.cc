#include "client/docker/stop_hint.h"

#include <gtest/gtest.h>

#include <csignal>

namespace berth::client {
namespace {

// SIGTERM is signal 15: bit 14.
constexpr char kInitWithHandler[] = "Name:\tx\nNSpid:\t400\t1\nSigCgt:\t0000000000004002\n";
constexpr char kInitWithout[] = "NSpid:\t400\t1\nSigCgt:\t0000000000000002\n";
constexpr char kOther[] = "NSpid:\t400\t17\nSigCgt:\t0000000000000000\n";

TEST(WillIgnoreTest, AnInitIgnoresWhatItHasNoHandlerFor) {
  EXPECT_TRUE(WillIgnore(kInitWithout, SIGTERM));
  EXPECT_FALSE(WillIgnore(kInitWithHandler, SIGTERM));
  EXPECT_TRUE(WillIgnore(kInitWithHandler, SIGHUP));
}

TEST(WillIgnoreTest, NobodyIgnoresSigkill) { EXPECT_FALSE(WillIgnore(kInitWithout, SIGKILL)); }

TEST(WillIgnoreTest, AnyOtherProcessEndsByDefault) {
  EXPECT_FALSE(WillIgnore(kOther, SIGTERM));
  EXPECT_FALSE(WillIgnore("NSpid:\t400\nSigCgt:\t0000000000000000\n", SIGTERM));
  EXPECT_FALSE(WillIgnore("", SIGTERM));
}

}  // namespace
}  // namespace berth::client
