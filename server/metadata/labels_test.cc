#include "server/metadata/labels.h"

#include "gtest/gtest.h"
#include "server/metadata/identifiers.h"

namespace berth::metadata {
namespace {

TEST(LabelsTest, KeyAndValueTogetherHaveALimit) {
  Labels labels;
  labels["key"] = std::string(4093, 'v');
  EXPECT_TRUE(ValidateLabels(labels).ok());
  labels["key"] += 'v';
  const absl::Status status = ValidateLabels(labels);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("key: key"), absl::string_view::npos) << status;
}

TEST(LabelsTest, AnEmptyValueMeansAbsent) {
  Labels labels;
  labels["keep"] = "1";
  labels["drop"] = "";
  DropEmptyLabels(labels);
  EXPECT_EQ(labels.size(), 1u);
  EXPECT_EQ(labels["keep"], "1");
}

TEST(LabelsTest, AMaskedLabelIsSetOrRemoved) {
  Labels source;
  source["a"] = "new";
  source["empty"] = "";
  Labels target;
  target["a"] = "old";
  target["b"] = "b";
  target["empty"] = "x";
  target["c"] = "kept";
  for (const absl::string_view key : {"a", "b", "empty"}) ApplyLabelPath(source, key, target);
  EXPECT_EQ(target.size(), 2u);
  EXPECT_EQ(target["a"], "new");
  EXPECT_EQ(target["c"], "kept");
}

TEST(LabelsTest, AFilterPathIsJoinedByDots) {
  Labels labels;
  labels["a.b/c"] = "x";
  const std::vector<std::string> path = {"a", "b/c"};
  EXPECT_EQ(FindLabel(labels, path), "x");
  EXPECT_EQ(FindLabel(labels, absl::MakeConstSpan(path).subspan(1)), std::nullopt);
}

TEST(LabelsTest, EncodingKeepsAnyBytes) {
  Labels labels;
  labels["plain"] = "value";
  labels[std::string("7:\0;", 4)] = std::string("\n5:\xff", 4);
  const auto decoded = DecodeLabels(EncodeLabels(labels));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->size(), 2u);
  EXPECT_EQ(decoded->at("plain"), "value");
  EXPECT_EQ(decoded->at(std::string("7:\0;", 4)), std::string("\n5:\xff", 4));
  EXPECT_TRUE(DecodeLabels("")->empty());
  for (const absl::string_view bad : {"x", "1", "5:ab", "1:a", "1:a9:b", "-1:a"}) {
    EXPECT_EQ(DecodeLabels(bad).status().code(), absl::StatusCode::kDataLoss) << bad;
  }
}

TEST(IdentifierTest, LettersAndDigitsJoinedBySingleMarks) {
  for (const absl::string_view good : {"a", "default", "k8s.io", "A-b_c.9", "0"}) {
    EXPECT_TRUE(ValidateIdentifier(good).ok()) << good;
  }
  EXPECT_TRUE(ValidateIdentifier(std::string(76, 'a')).ok());
  for (const absl::string_view bad :
       {"", ".", "..", "-a", "a-", "a..b", "a.-b", "a/b", "a b", "\xc3\xa9", "a\n", "_"}) {
    EXPECT_EQ(ValidateIdentifier(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(ValidateIdentifier(std::string(77, 'a')).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::metadata
