#include "client/commands/command.h"

#include <gtest/gtest.h>

#include "client/commands/command_completion.h"
#include "client/commands/command_help.h"
#include "client/commands/command_manual.h"
#include "client/commands/suggestion.h"

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

TEST(CommandTest, ShortOptionsTakeTheirValueAttachedOrNext) {
  Values values;
  auto parsed = Parse(values, {"run", "-ite", "A", "-eB=1", "-e=C", "--env=D=2", "busybox"});
  ASSERT_TRUE(parsed.action);
  EXPECT_EQ(values.environment, (std::vector<std::string>{"A", "B=1", "C", "D=2"}));
  Values off;
  ASSERT_TRUE(Parse(off, {"run", "-i", "--interactive=false", "busybox"}).action);
  EXPECT_FALSE(off.is_interactive);
}

TEST(CommandTest, AnArgumentMayBeCalledLikeItsCommand) {
  Values values;
  auto parsed = Parse(values, {"rm", "rm"});
  ASSERT_TRUE(parsed.action);
  EXPECT_EQ(values.rest, std::vector<std::string>{"rm"});
}

std::string MessageOf(std::vector<const char*> words) {
  Values values;
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(Parse(values, std::move(words)).action);
  return ::testing::internal::GetCapturedStderr();
}

TEST(CommandTest, MistypedWordsAreSuggested) {
  EXPECT_EQ(MessageOf({"rnu"}),
            "berth: \"rnu\" is no command of berth. Did you mean \"run\"?\nSee 'berth --help'.\n");
  EXPECT_EQ(MessageOf({"run", "--nmae", "x", "busybox"}),
            "berth: unknown option --nmae. Did you mean \"--name\"?\nSee 'berth run --help'.\n");
  EXPECT_EQ(MessageOf({"image", "lsit"}).substr(0, 70),
            "berth: \"lsit\" is no command of berth image. Did you mean \"list\" or \"ls");
  EXPECT_EQ(MessageOf({"zzz"}).find("Did you mean"), std::string::npos);
  EXPECT_NE(MessageOf({"run"}).find("wants at least 1 argument"), std::string::npos);
}

TEST(SuggestionTest, SwappedLettersAreOneMistake) {
  EXPECT_EQ(EditDistance("rnu", "run"), 1u);
  EXPECT_EQ(EditDistance("logs", "log"), 1u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
}

// Help, completion and manual come from one tree.
class CommandTextTest : public ::testing::Test {
 protected:
  CommandTextTest() : tree_("berth", "Runs containers") {
    tree_.root().Option("-a,--address PATH", text_, "Socket");
    tree_.root()
        .Add("run,r", "Run a program")
        .Flag("-i,--interactive", flag_, "Keep stdin")
        .Option("-e,--env LIST", list_, "Set a variable")
        .Examples("  berth run x\n")
        .Rest({"IMAGE [COMMAND...]", 1, -1, OptionPlace::kBeforeArguments}, list_);
    Command image = tree_.root().Add("image", "Images").Group("Objects");
    image.Add("rm", "Remove images").Rest({"IMAGE [IMAGE...]", 1, -1}, list_);
    tree_.root().Add("__complete", "").Hide();
  }

  std::vector<std::string> Offers(const std::vector<std::string>& words) {
    std::vector<std::string> found;
    for (const Candidate& candidate : Complete(tree_.node(), words, [](absl::string_view kind) {
           return kind == "IMAGE" ? std::vector<std::string>{"busybox", "redis"}
                                  : std::vector<std::string>{};
         })) {
      found.push_back(candidate.word);
    }
    return found;
  }

  CommandTree tree_;
  bool flag_ = false;
  std::string text_;
  std::vector<std::string> list_;
};

TEST_F(CommandTextTest, Help) {
  const std::string root = HelpText(tree_.node(), HelpStyle::kPlain);
  EXPECT_EQ(root.substr(0, 39), "Usage:  berth [OPTIONS] COMMAND\n\nRuns c");
  EXPECT_NE(root.find("\nObjects:\n  image   Images\n"), std::string::npos) << root;
  EXPECT_EQ(root.find("__complete"), std::string::npos);
  const std::string run = HelpText(*tree_.node().FindChild("r"), HelpStyle::kPlain);
  EXPECT_NE(run.find("  -e, --env LIST      Set a variable\n  -i, --interactive   Keep stdin\n"),
            std::string::npos)
      << run;
  EXPECT_NE(run.find("Examples:\n  berth run x\n"), std::string::npos);
  EXPECT_EQ(run.find('\x1b'), std::string::npos);
  EXPECT_NE(HelpText(tree_.node(), HelpStyle::kColour).find('\x1b'), std::string::npos);
}

TEST_F(CommandTextTest, Completion) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(Offers({""}), (Words{"run", "image"}));
  EXPECT_EQ(Offers({"i"}), Words{"image"});
  EXPECT_EQ(Offers({"run", "--"}), (Words{"--interactive", "--env", "--help"}));
  EXPECT_EQ(Offers({"run", "b"}), Words{"busybox"});
  EXPECT_EQ(Offers({"run", "-e", ""}), Words{});
  EXPECT_EQ(Offers({"run", "-ie", "A", ""}), (Words{"busybox", "redis"}));
  EXPECT_EQ(Offers({"run", "busybox", ""}), Words{});
  EXPECT_EQ(Offers({"image", "rm", "busybox", "r"}), Words{"redis"});
  EXPECT_NE(
      BashCompletionScript("berth").find("complete -o default -o bashdefault -F _berth berth"),
      std::string::npos);
  EXPECT_EQ(ZshCompletionScript("berth").substr(0, 14), "#compdef berth");
}

TEST_F(CommandTextTest, Manual) {
  const CommandNode& run = *tree_.node().FindChild("run");
  EXPECT_EQ(ManualFileName(run), "berth-run.1");
  const std::string page = ManualPage(run, "1.0");
  EXPECT_EQ(page.substr(0, 17), ".TH \"BERTH-RUN\" 1");
  EXPECT_NE(page.find(".SH OPTIONS\n.TP\n\\fB\\-i\\fR, \\fB\\-\\-interactive\\fR\nKeep stdin\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find(".SH EXAMPLES\n.nf\n  berth run x\n.fi\n"), std::string::npos);
}

}  // namespace
}  // namespace berth::client
