#include "server/metadata/schema.h"

#include <fcntl.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "server/metadata/test_database.h"

namespace berth::metadata {
namespace {

std::vector<std::string> Column(sqlite::Connection& connection, absl::string_view sql) {
  std::vector<std::string> values;
  auto row = connection.Prepare(sql);
  EXPECT_TRUE(row.ok()) << row.status();
  while (row.ok() && row->Step().value_or(false)) values.emplace_back(row->ColumnText(0));
  return values;
}

// The part of the document under the heading of `table`.
std::string Section(const std::string& document, absl::string_view table) {
  const size_t begin = document.find(absl::StrCat("\n### ", table, "\n"));
  if (begin == std::string::npos) return "";
  return document.substr(begin, document.find("\n### ", begin + 1) - begin);
}

TEST(SchemaTest, TheDocumentDescribesEveryTableAndColumn) {
  const auto document = ReadFile("docs/formats/metadata.md");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_TRUE(absl::StrContains(
      *document, absl::StrCat("**", SchemaMigrations().back().version.ToString(), "**")));
  TestDatabase database;
  ASSERT_TRUE(database
                  ->Read([&](sqlite::Connection& connection) {
                    const auto tables =
                        Column(connection,
                               "SELECT name FROM sqlite_schema WHERE type = 'table' "
                               "AND name NOT LIKE 'sqlite_%'");
                    EXPECT_GE(tables.size(), 10u);
                    for (const std::string& table : tables) {
                      const std::string section = Section(*document, table);
                      EXPECT_FALSE(section.empty()) << table;
                      for (const std::string& column : Column(
                               connection,
                               absl::StrCat("SELECT name FROM pragma_table_info('", table, "')"))) {
                        EXPECT_TRUE(absl::StrContains(section, absl::StrCat("`", column, "`")))
                            << table << "." << column;
                      }
                    }
                    return absl::OkStatus();
                  })
                  .ok());
}

// The restart monitor asks each ten seconds: it reads the containers that it is for, and no others.
TEST(SchemaTest, TheMonitoredContainersAreFoundByTheirIndex) {
  TestDatabase database;
  const absl::Status read = database->Read([&](sqlite::Connection& connection) {
    auto row = connection.Prepare(
        absl::StrCat("EXPLAIN QUERY PLAN SELECT ns, id FROM containers WHERE ", kHasRestartStatus));
    EXPECT_TRUE(row.ok()) << row.status();
    if (!row.ok()) return row.status();
    EXPECT_TRUE(row->Step().value_or(false));
    EXPECT_TRUE(absl::StrContains(row->ColumnText(3), "USING INDEX containers_monitored"))
        << row->ColumnText(3);
    return absl::OkStatus();
  });
  EXPECT_TRUE(read.ok()) << read;
}

// An object whose table reports nothing could lose its new holder to a collection that runs.
TEST(SchemaTest, EveryKindOfObjectReportsItsChanges) {
  TestDatabase database;
  ASSERT_TRUE(
      database
          ->Read([&](sqlite::Connection& connection) {
            for (const absl::string_view table :
                 {"blobs", "containers", "gc_labels", "images", "ingests", "leases", "snapshots"}) {
              EXPECT_EQ(
                  Column(connection, absl::StrCat("SELECT name FROM sqlite_schema WHERE type = "
                                                  "'trigger' AND name GLOB 'gc_*' AND tbl_name = '",
                                                  table, "' ORDER BY name")),
                  (std::vector<std::string>{absl::StrCat("gc_", table, "_INSERT"),
                                            absl::StrCat("gc_", table, "_UPDATE")}));
            }
            return absl::OkStatus();
          })
          .ok());
}

}  // namespace
}  // namespace berth::metadata
