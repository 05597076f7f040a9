#include "client/commands/command.h"

#include <gtest/gtest.h>

namespace berth::client {
namespace {

struct Values {
  bool is_interactive = false;
  bool has_terminal = false;
  std::string address;
  std::string name;
  std::vector<std::string> environment;
  std::vector<std::string> rest;
};

// A tree like berth's: a global option, `run IMAGE [COMMAND...]`, `image ls`.
CommandTree::Parsed Parse(Values& values, std::vector<const char*> words) {
  CommandTree tree("berth", "test");
  Command root = tree.root();
  root.Option("-a,--address", values.address, "");
  root.Add("run", "")
      .Flag("-i,--interactive", values.is_interactive, "")
      .Flag("-t,--tty", values.has_terminal, "")
      .Option("--name", values.name, "")
      .Option("-e,--env", values.environment, "")
      .Rest({"IMAGE [COMMAND...]", 1, -1, OptionPlace::kBeforeArguments}, values.rest)
      .Do([] { return 11; });
  root.Add("image,images", "").Add("ls,list", "").Rest({"", 0, 0}, values.rest).Do([] {
    return 12;
  });
  root.Add("rm", "")
      .Flag("-f,--force", values.is_interactive, "")
      .Rest({"CONTAINER...", 1, -1}, values.rest)
      .Do([] { return 13; });
  words.insert(words.begin(), "berth");
  return tree.Parse(static_cast<int>(words.size()), words.data());
}

TEST(CommandTest, OptionsEndAtTheImage) {
  Values values;
  auto parsed = Parse(values, {"run", "-it", "-e", "A=1", "-e", "B", "--name", "x", "busybox", "ls",
                               "-l", "--name", "y"});
  ASSERT_TRUE(parsed.action);
  EXPECT_EQ(*parsed.action(), 11);
  EXPECT_TRUE(values.is_interactive && values.has_terminal);
  EXPECT_EQ(values.name, "x");
  EXPECT_EQ(values.environment, (std::vector<std::string>{"A=1", "B"}));
  EXPECT_EQ(values.rest, (std::vector<std::string>{"busybox", "ls", "-l", "--name", "y"}));
}

TEST(CommandTest, ADoubleDashStartsTheArguments) {
  Values values;
  auto parsed = Parse(values, {"run", "--", "busybox", "-x"});
  ASSERT_TRUE(parsed.action);
  EXPECT_EQ(values.rest, (std::vector<std::string>{"busybox", "-x"}));
}

TEST(CommandTest, GlobalOptionsMayStandOnEitherSide) {
  Values values;
  EXPECT_TRUE(Parse(values, {"--address", "/s", "image", "ls"}).action);
  EXPECT_EQ(values.address, "/s");
  Values after;
  auto parsed = Parse(after, {"images", "list", "--address", "/t"});
  ASSERT_TRUE(parsed.action);
  EXPECT_EQ(*parsed.action(), 12);
  EXPECT_EQ(after.address, "/t");
}

TEST(CommandTest, ElsewhereOptionsMayFollowTheArguments) {
  Values values;
  auto parsed = Parse(values, {"rm", "a", "-f", "b", "--address", "/s"});
  ASSERT_TRUE(parsed.action);
  EXPECT_TRUE(values.is_interactive);
  EXPECT_EQ(values.rest, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(values.address, "/s");
  Values dashes;
  ASSERT_TRUE(Parse(dashes, {"rm", "a", "--", "-f"}).action);
  EXPECT_FALSE(dashes.is_interactive);
  EXPECT_EQ(dashes.rest, (std::vector<std::string>{"a", "-f"}));
}

TEST(CommandTest, MistakesAreRefused) {
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"run"},
                                             {"run", "--bogus", "busybox"},
                                             {"image", "ls", "extra"},
                                             {"nonsense"},
                                             {"image"},
                                             {"run", "--name"}}) {
    Values values;
    auto parsed = Parse(values, words);
    EXPECT_FALSE(parsed.action) << words.back();
    EXPECT_EQ(parsed.exit_code, 125) << words.back();
  }
}

TEST(CommandTest, HelpIsNoMistake) {
  Values values;
  auto parsed = Parse(values, {"run", "--help"});
  EXPECT_FALSE(parsed.action);
  EXPECT_EQ(parsed.exit_code, 0);
}

}  // namespace
}  // namespace berth::client
