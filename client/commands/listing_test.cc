#include "client/commands/listing.h"

#include <gtest/gtest.h>

#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

Listing Sample() {
  Listing listing;
  listing.AddColumn("ID", "id");
  listing.AddColumn("IMAGE", "image", Listing::Fit::kMayBeCut);
  listing.AddColumn("COMMAND", "command", Listing::Fit::kMayBeCut);
  listing.AddRow({Cell("abc"), Cell("docker.io/library/busybox:latest"), Cell("sleep 1000")});
  listing.AddRow({Cell("d"), Cell("x"), Cell("y", Json({{"args", {"a", "b"}}}))});
  return listing;
}

TEST(ListingTest, ColumnsLineUp) {
  EXPECT_EQ(Sample().ToTable(Listing::kUnlimited),
            "ID    IMAGE                              COMMAND\n"
            "abc   docker.io/library/busybox:latest   sleep 1000\n"
            "d     x                                  y\n");
}

TEST(ListingTest, ATableFitsTheTerminalByCuttingTheWidestColumn) {
  const std::string table = Sample().ToTable(40);
  for (absl::string_view line : absl::StrSplit(table, '\n')) {
    size_t columns = 0;
    for (char c : line) columns += (c & 0xc0) != 0x80;
    EXPECT_LE(columns, 40u) << line;
  }
  EXPECT_NE(table.find("abc   docker.io/library/bu"), std::string::npos) << table;
  EXPECT_NE(table.find("…   sleep 1000"), std::string::npos) << table;
}

TEST(ListingTest, AColumnThatMustBeWholeIsNeverCut) {
  EXPECT_NE(Sample().ToTable(5).find("abc"), std::string::npos);
}

TEST(ListingTest, JsonCarriesTheExactValue) {
  auto json = ParseJson(Sample().ToJson());
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)[0]["image"], "docker.io/library/busybox:latest");
  EXPECT_EQ((*json)[1]["command"]["args"][1], "b");
}

TEST(ListingTest, AColumnForProgramsTakesNoRoomInTheTable) {
  Listing listing;
  listing.AddColumn("NAME", "name");
  listing.AddColumn("DIGEST", "digest", Listing::Fit::kJsonOnly);
  listing.AddColumn("SIZE", "size");
  listing.AddRow({Cell("a"), Cell("sha256:0123456789"), Cell("5B")});
  EXPECT_EQ(listing.ToTable(12), "NAME   SIZE\na      5B\n");
  auto json = ParseJson(listing.ToJson());
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)[0]["digest"], "sha256:0123456789");
}

TEST(ListingTest, ControlCharactersDoNotReachTheTerminal) {
  Listing listing;
  listing.AddColumn("NAME", "name");
  listing.AddRow({Cell("a\x1b[2J\nb")});
  EXPECT_EQ(listing.ToTable(Listing::kUnlimited), "NAME\na [2J b\n");
}

}  // namespace
}  // namespace berth::client
