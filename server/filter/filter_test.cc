#include "server/filter/filter.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using Fields = std::map<std::string, std::string>;

bool Matches(const Filter& filter, const Fields& fields) {
  return filter.Matches([&](const std::vector<std::string>& path) -> std::optional<std::string> {
    const auto found = fields.find(absl::StrJoin(path, "."));
    if (found == fields.end()) return std::nullopt;
    return found->second;
  });
}

bool Matches(absl::string_view expression, const Fields& fields) {
  const absl::StatusOr<Filter> filter = Filter::Compile(expression);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return filter.ok() && Matches(*filter, fields);
}

absl::Status ErrorOf(absl::string_view expression) { return Filter::Compile(expression).status(); }

TEST(FilterTest, NothingMatchesEverything) {
  EXPECT_TRUE(Matches(Filter(), {}));
  EXPECT_TRUE(Matches("", {}));
  EXPECT_TRUE(Matches(*Filter::Compile(std::vector<std::string>{}), {}));
  EXPECT_TRUE(Matches(*Filter::Compile(std::vector<std::string>{"name==x", ""}), {}));
}

TEST(FilterTest, APathAloneAsksForPresence) {
  EXPECT_TRUE(Matches("name", {{"name", ""}}));
  EXPECT_FALSE(Matches("name", {{"id", "x"}}));
  EXPECT_TRUE(Matches("labels.foo.bar", {{"labels.foo.bar", "1"}}));
}

TEST(FilterTest, EqualityNeedsTheField) {
  EXPECT_TRUE(Matches("name==bar", {{"name", "bar"}}));
  EXPECT_FALSE(Matches("name==bar", {{"name", "barn"}}));
  EXPECT_FALSE(Matches("name==\"\"", {}));
  EXPECT_TRUE(Matches("name==\"\"", {{"name", ""}}));
}

TEST(FilterTest, InequalityHoldsForAnAbsentField) {
  EXPECT_TRUE(Matches("name!=bar", {}));
  EXPECT_TRUE(Matches("name!=bar", {{"name", "foo"}}));
  EXPECT_FALSE(Matches("name!=bar", {{"name", "bar"}}));
}

TEST(FilterTest, PatternsMatchAnywhereAndAnAbsentFieldIsEmpty) {
  EXPECT_TRUE(Matches("other~=[abc]+", {{"other", "xxbxx"}}));
  EXPECT_FALSE(Matches("other~=^[abc]+$", {{"other", "xxbxx"}}));
  EXPECT_TRUE(Matches("other~=^$", {}));
  EXPECT_FALSE(Matches("other~=/./", {}));
}

TEST(FilterTest, PatternsMayStandBetweenSlashesOrBars) {
  EXPECT_TRUE(Matches("other~=/[abc]{1,2}/,name!=foo", {{"other", "ab"}}));
  EXPECT_TRUE(Matches("namespace==moby,topic~=|^/tasks/|",
                      {{"namespace", "moby"}, {"topic", "/tasks/exit"}}));
  EXPECT_TRUE(Matches("other~=/a\\/b/", {{"other", "xa/bx"}}));
  EXPECT_TRUE(Matches("other~=/a\\\\.b/", {{"other", "a.b"}}));
  EXPECT_FALSE(Matches("other~=/a\\\\.b/", {{"other", "axb"}}));
}

TEST(FilterTest, ARefusedPatternMatchesNothingWithoutError) {
  EXPECT_FALSE(Matches("name~=/(/", {{"name", "("}}));
  EXPECT_FALSE(Matches("name~=a**", {{"name", "a"}}));
}

TEST(FilterTest, CommasMeanAndListsMeanOr) {
  EXPECT_TRUE(Matches("a==1,b==2", {{"a", "1"}, {"b", "2"}}));
  EXPECT_FALSE(Matches("a==1,b==2", {{"a", "1"}}));
  const auto filter = Filter::Compile(std::vector<std::string>{"a==1,b==2", "c"});
  EXPECT_TRUE(Matches(*filter, {{"c", ""}}));
  EXPECT_FALSE(Matches(*filter, {{"a", "1"}}));
}

TEST(FilterTest, SpacesSeparateTokens) {
  const Fields plugin = {{"type", "io.containerd.snapshotter.v1"}, {"id", "overlayfs"}};
  EXPECT_TRUE(Matches("type==io.containerd.snapshotter.v1, id==overlayfs", plugin));
  EXPECT_TRUE(Matches(" type == io.containerd.snapshotter.v1 , id\t== overlayfs ", plugin));
}

TEST(FilterTest, NamesAndValuesMayBeQuoted) {
  EXPECT_TRUE(Matches("labels.\"a.b/c\"==x", {{"labels.a.b/c", "x"}}));
  EXPECT_TRUE(Matches("other==\"too complex, yo\"", {{"other", "too complex, yo"}}));
  EXPECT_TRUE(Matches("labels.\"with \\\\ and \\\"\".post==present",
                      {{"labels.with \\ and \".post", "present"}}));
}

TEST(FilterTest, EscapesAreThoseOfGoStrings) {
  EXPECT_TRUE(Matches(R"(a=="\a\b\f\n\r\t\v\\\"")", {{"a", "\a\b\f\n\r\t\v\\\""}}));
  EXPECT_TRUE(Matches(R"(a=="\x41\101\u00e9\U0001F600")", {{"a", "AA\xc3\xa9\xf0\x9f\x98\x80"}}));
  EXPECT_TRUE(Matches(R"(a=="\xff")", {{"a", "\xff"}}));
  for (const absl::string_view bad : {R"(a=="\q")", R"(a=="\x4")", R"(a=="\400")", R"(a=="\u12")",
                                      R"(a=="\U00110000")", R"(a=="\/")", R"(a~=/\./)"}) {
    EXPECT_EQ(ErrorOf(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(FilterTest, ABareValueTakesAllButCommaAndSpace) {
  EXPECT_TRUE(Matches("labels.foo==omg_asdf.asdf-qwer", {{"labels.foo", "omg_asdf.asdf-qwer"}}));
  EXPECT_TRUE(Matches("a==b==c/\"d'|", {{"a", "b==c/\"d'|"}}));
  EXPECT_TRUE(Matches("a=='x'", {{"a", "'x'"}}));
  EXPECT_TRUE(Matches("a==h\xc3\xa9", {{"a", "h\xc3\xa9"}}));
  EXPECT_TRUE(Matches("digest==sha256:0123", {{"digest", "sha256:0123"}}));
}

TEST(FilterTest, SyntaxErrorsAreInvalidArgument) {
  for (const absl::string_view bad : {" ",
                                      ",",
                                      ".",
                                      "name==",
                                      "name==foo,",
                                      "labels.",
                                      ".a",
                                      "a..b",
                                      "a=b",
                                      "a===b",
                                      "a==!b",
                                      "a!b",
                                      "a b",
                                      "a==b c",
                                      "image~=,id?=?fbaq",
                                      "labels.ns/key==value",
                                      "labels.key==/value",
                                      "labels.key==/value/",
                                      "labels.key==|v|",
                                      "labels.|foo|==x",
                                      "labels.?x==y",
                                      "a==.b",
                                      "a==\"b",
                                      "a==\"b\"c",
                                      "a==\"b\nc\"",
                                      "'a'==b",
                                      "-a==b",
                                      "a==\x01",
                                      "(a==b)"}) {
    EXPECT_EQ(ErrorOf(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(FilterTest, ErrorsQuoteTheExpressionAndThePlace) {
  EXPECT_EQ(ErrorOf("labels.?x"),
            absl::InvalidArgumentError("filter [labels.?x]: expected a field name at byte 7"));
  EXPECT_EQ(ErrorOf("a=="),
            absl::InvalidArgumentError("filter [a==]: expected a value at its end"));
  EXPECT_LT(ErrorOf(std::string(1 << 20, '?')).message().size(), 400u);
}

TEST(FilterTest, ZeroBytesAndBrokenUtf8AreRefused) {
  EXPECT_FALSE(ErrorOf(absl::string_view("a==b\0", 5)).ok());
  EXPECT_FALSE(ErrorOf(absl::string_view("\0", 1)).ok());
  for (const absl::string_view bad :
       {"\xff", "a==\xc3", "a==\"\xc0\x80\"", "a==\xed\xa0\x80", "a==\xf4\x90\x80\x80"}) {
    EXPECT_FALSE(ErrorOf(bad).ok());
  }
}

// Every text of up to four of the characters that matter: no crash, and one that compiles can be
// evaluated.
TEST(FilterTest, ShortTextsOfAllKindsAreTakenOrRefused) {
  constexpr absl::string_view kAlphabet = "a.,=!~\"/|\\ x\xc3\n";
  int taken = 0;
  for (size_t length = 1; length <= 4; ++length) {
    std::vector<size_t> digits(length, 0);
    while (true) {
      std::string text;
      for (const size_t digit : digits) text.push_back(kAlphabet[digit]);
      const absl::StatusOr<Filter> filter = Filter::Compile(text);
      if (filter.ok()) {
        ++taken;
        Matches(*filter, {{"a", "x"}});
      } else {
        ASSERT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument);
      }
      size_t i = 0;
      while (i < length && ++digits[i] == kAlphabet.size()) digits[i++] = 0;
      if (i == length) break;
    }
  }
  EXPECT_GT(taken, 50);
}

}  // namespace
}  // namespace berth
