#include "client/commands/task_starter.h"

#include <gtest/gtest.h>

namespace berth::client {
namespace {

TEST(ExitCodeTest, AMissingProgramIs127) {
  EXPECT_EQ(
      ExitCodeOfStartFailure(
          absl::UnknownError("runc: exec: \"nope\": executable file not found in $PATH"), "nope"),
      127);
  EXPECT_EQ(ExitCodeOfStartFailure(absl::NotFoundError("exec /x/nope: no such file or directory"),
                                   "/x/nope"),
            127);
}

TEST(ExitCodeTest, AProgramThatCannotBeExecutedIs126) {
  EXPECT_EQ(ExitCodeOfStartFailure(absl::UnknownError("exec: \"/etc\": permission denied"), "/etc"),
            126);
  EXPECT_EQ(ExitCodeOfStartFailure(absl::UnknownError("exec: \"/etc\": is a directory"), "/etc"),
            126);
}

TEST(ExitCodeTest, EverythingElseIsTheDaemons) {
  EXPECT_EQ(ExitCodeOfStartFailure(absl::UnavailableError("cannot reach berthd"), "true"), 125);
  EXPECT_EQ(
      ExitCodeOfStartFailure(absl::UnknownError("mount /data: no such file or directory"), "sh"),
      125);
}

TEST(SpecHasTerminalTest, OnlyATrueTerminalCounts) {
  EXPECT_TRUE(SpecHasTerminal(R"({"process":{"terminal":true}})"));
  EXPECT_FALSE(SpecHasTerminal(R"({"process":{"terminal":"yes"}})"));
  EXPECT_FALSE(SpecHasTerminal(R"({})"));
  EXPECT_FALSE(SpecHasTerminal("garbage"));
}

}  // namespace
}  // namespace berth::client
