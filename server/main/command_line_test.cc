#include "server/main/command_line.h"

#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

absl::StatusOr<CommandLine> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "berthd");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

TEST(CommandLineTest, ContainerdsShortFlagsAreUnderstood) {
  const auto line = Parse({"-c", "/c", "-a", "/a", "-l", "debug", "--root", "/r", "--state=/s"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kServe);
  EXPECT_EQ(line->config_path, "/c");
  EXPECT_EQ(line->address, "/a");
  EXPECT_EQ(line->log_level, "debug");
  EXPECT_EQ(line->root, "/r");
  EXPECT_EQ(line->state, "/s");
}

TEST(CommandLineTest, ConfigCommandsTakeFlagsOnEitherSide) {
  for (const auto& line :
       {Parse({"--root", "/r", "config", "dump"}), Parse({"config", "dump", "--root", "/r"})}) {
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->action, CommandLine::Action::kPrintEffectiveConfig);
    EXPECT_EQ(line->root, "/r");
  }
  EXPECT_EQ(Parse({"config", "default"})->action, CommandLine::Action::kPrintDefaultConfig);
}

TEST(CommandLineTest, HelpAndVersionAreTextNotErrors) {
  EXPECT_TRUE(absl::StrContains(Parse({"--help"})->text, "--log-level"));
  EXPECT_TRUE(absl::StartsWith(Parse({"--version"})->text, "berthd "));
}

TEST(CommandLineTest, UnknownArgumentIsInvalidAndPointsToHelp) {
  for (const auto& line : {Parse({"--adress", "/a"}), Parse({"serve"}), Parse({"config"})}) {
    EXPECT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(line.status().message(), "--help"));
  }
}

}  // namespace
}  // namespace berth
