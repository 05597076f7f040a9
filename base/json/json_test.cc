#include <string>

#include "base/json/document.h"
#include "base/json/writer.h"
#include "gtest/gtest.h"

namespace berth::json {
namespace {

Document MustParse(std::string text) {
  auto document = Document::Parse(std::move(text));
  EXPECT_TRUE(document.ok()) << document.status();
  return *std::move(document);
}

TEST(JsonDocumentTest, FindsNestedMembersAndTheLastOfRepeatedNames) {
  Document document = MustParse(R"( {"a": {"b": [1, -2, "x"]}, "c": 1, "c": 2} )");
  Value list = document.root().Find("a").Find("b");
  ASSERT_EQ(list.size(), 3u);
  auto it = list.begin();
  EXPECT_EQ(it.value().AsInt64(), 1);
  ++it;
  EXPECT_EQ(it.value().AsInt64(), -2);
  EXPECT_EQ(it.value().AsUint64(), std::nullopt);
  ++it;
  EXPECT_EQ(it.value().text(), "x");
  ++it;
  EXPECT_FALSE(it != list.end());
  EXPECT_EQ(document.root().Find("c").AsInt64(), 2);
  EXPECT_FALSE(document.root().Find("d").present());
  EXPECT_EQ(list.raw(), R"([1, -2, "x"])");
}

TEST(JsonDocumentTest, DecodesEscapesAndSurrogatePairs) {
  Document document = MustParse(R"(["a\n\"\\\/\u00e9\ud83d\ude00", "\ud800x", "plain"])");
  auto it = document.root().begin();
  EXPECT_EQ(it.value().text(), "a\n\"\\/\xc3\xa9\xf0\x9f\x98\x80");
  ++it;
  EXPECT_EQ(it.value().text(), "\xef\xbf\xbdx");
  ++it;
  EXPECT_EQ(it.value().text(), "plain");
}

TEST(JsonDocumentTest, SaysWhereAndWhatWasExpected) {
  EXPECT_EQ(Document::Parse("{\n  \"a\" 1}").status().message(),
            "JSON line 2, column 7: expected ':', found '1'");
  EXPECT_EQ(Document::Parse("").status().message(),
            "JSON line 1, column 1: expected a value, found the end of the text");
  for (const char* bad : {"{", "[1,]", "01", "1.", "\"\\x\"", "\"\t\"", "nul", "{} x", "{\"a\":}",
                          "-", "[1 2]", "\"abc", "\"\\u12\"", "{a:1}"}) {
    EXPECT_FALSE(Document::Parse(bad).ok()) << bad;
  }
}

TEST(JsonDocumentTest, RefusesNestingThatWouldExhaustTheStack) {
  EXPECT_FALSE(Document::Parse(std::string(100000, '[')).ok());
  EXPECT_TRUE(Document::Parse(std::string(100, '[') + std::string(100, ']')).ok());
}

TEST(JsonDocumentTest, NumbersWithFractionOrOverflowAreNoIntegers) {
  Document document = MustParse("[1.5, 1e3, 9223372036854775808, 18446744073709551616]");
  auto it = document.root().begin();
  EXPECT_EQ(it.value().AsInt64(), std::nullopt);
  ++it;
  EXPECT_EQ(it.value().AsInt64(), std::nullopt);
  ++it;
  EXPECT_EQ(it.value().AsInt64(), std::nullopt);
  EXPECT_EQ(it.value().AsUint64(), 9223372036854775808u);
  ++it;
  EXPECT_EQ(it.value().AsUint64(), std::nullopt);
}

TEST(JsonWriterTest, WritesWhatTheParserReadsBack) {
  Writer writer;
  writer.BeginObject().Key("a\n").String("\x01\"").Key("l").BeginArray().Int(-1).Uint(2).Boolean(
      true);
  writer.Null().EndArray().Key("e").BeginObject().EndObject().EndObject();
  const std::string text = writer.Take();
  EXPECT_EQ(text, "{\"a\\n\":\"\\u0001\\\"\",\"l\":[-1,2,true,null],\"e\":{}}");
  Document document = MustParse(text);
  EXPECT_EQ(document.root().Find("a\n").text(), "\x01\"");
}

TEST(JsonWriterTest, IndentsOnRequest) {
  Writer writer(Layout::kIndented);
  writer.BeginObject().Key("a").BeginArray().Int(1).Int(2).EndArray().EndObject();
  EXPECT_EQ(writer.Take(), "{\n  \"a\": [\n    1,\n    2\n  ]\n}");
}

}  // namespace
}  // namespace berth::json
