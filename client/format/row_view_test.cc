#include "client/format/row_view.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/format/human.h"

namespace berth::client {
namespace {

RowKind Kind() {
  RowKind kind;
  kind.table = "{{.ID}}\t{{.Names}}\t{{.Status}}";
  kind.headings = {{"ID", "CONTAINER ID"}};
  kind.methods["Label"] = [](const Json&, const std::vector<Json>&) { return Json("v"); };
  return kind;
}

std::string Render(absl::string_view format) {
  const std::vector<Json> rows = {
      {{"ID", "0123456789ab"}, {"Names", "web"}, {"Status", "Up 5 seconds"}},
      {{"ID", "ffffffffffff"}, {"Names", "a_long_name"}, {"Status", "Created"}}};
  auto view = RowView::Parse(format, Kind());
  if (!view.ok()) return std::string(view.status().message());
  auto text = view->Render(rows);
  return text.ok() ? *text : std::string(text.status().message());
}

TEST(RowViewTest, TheDefaultIsATable) {
  const std::string table =
      "CONTAINER ID   NAMES         STATUS\n"
      "0123456789ab   web           Up 5 seconds\n"
      "ffffffffffff   a_long_name   Created\n";
  EXPECT_EQ(Render(""), table);
  EXPECT_EQ(Render("table"), table);
}

TEST(RowViewTest, ATableOfTemplatesHasHeadings) {
  EXPECT_EQ(Render("table {{.Names}}\\t{{.ID}}"),
            "NAMES         CONTAINER ID\nweb           0123456789ab\na_long_name   ffffffffffff\n");
  EXPECT_EQ(Render("table {{.Label \"app\"}}"), "app\nv\nv\n");
}

TEST(RowViewTest, TemplatesAndJsonHaveNoHeadings) {
  EXPECT_EQ(Render("{{.Names}}"), "web\na_long_name\n");
  EXPECT_EQ(Render("json").substr(0, 42), "{\"ID\":\"0123456789ab\",\"Names\":\"web\",\"Status");
}

TEST(RowViewTest, AMistakeNamesTheOption) {
  EXPECT_EQ(Render("{{.Names"), "--format: template, column 1: this {{ has no }}");
  EXPECT_EQ(Render("{{.Nope}}").substr(0, 20), "--format: template, ");
}

TEST(RenderDocumentsTest, ListsAndTemplates) {
  const std::vector<Json> documents = {{{"Id", "a"}}, {{"Id", "b"}}};
  EXPECT_EQ(*RenderDocuments("{{.Id}}", documents), "a\nb\n");
  EXPECT_EQ(*RenderDocuments("json", documents), "[{\"Id\":\"a\"},{\"Id\":\"b\"}]\n");
  EXPECT_EQ(*RenderDocuments("", {documents[0]}), "[\n    {\n        \"Id\": \"a\"\n    }\n]\n");
}

TEST(HumanTest, Sizes) {
  EXPECT_EQ(DecimalSize(0), "0B");
  EXPECT_EQ(DecimalSize(999), "999B");
  EXPECT_EQ(DecimalSize(1000), "1kB");
  EXPECT_EQ(DecimalSize(1.09e9), "1.09GB");
  EXPECT_EQ(DecimalSize(999'900), "1MB");
  EXPECT_EQ(DecimalSize(77'812'345, 4), "77.81MB");
  EXPECT_EQ(BinarySize(2'038'432), "1.944MiB");
  EXPECT_EQ(BinarySize(1023), "1023B");
}

TEST(HumanTest, Durations) {
  EXPECT_EQ(HumanDuration(absl::Milliseconds(400)), "Less than a second");
  EXPECT_EQ(HumanDuration(absl::Seconds(1)), "1 second");
  EXPECT_EQ(HumanDuration(absl::Seconds(59)), "59 seconds");
  EXPECT_EQ(HumanDuration(absl::Seconds(119)), "About a minute");
  EXPECT_EQ(HumanDuration(absl::Minutes(2)), "2 minutes");
  EXPECT_EQ(HumanDuration(absl::Minutes(61)), "About an hour");
  EXPECT_EQ(HumanDuration(absl::Hours(47)), "47 hours");
  EXPECT_EQ(HumanDuration(absl::Hours(48)), "2 days");
  EXPECT_EQ(HumanDuration(absl::Hours(24 * 15)), "2 weeks");
  EXPECT_EQ(HumanDuration(absl::Hours(24 * 70)), "2 months");
  EXPECT_EQ(HumanDuration(absl::Hours(24 * 800)), "2 years");
  EXPECT_EQ(HumanAgo(absl::UnixEpoch(), absl::Now()), "N/A");
}

TEST(RowViewTest, FieldsThatTheFormatDoesNotShowAreNotAskedFor) {
  RowKind kind;
  kind.table = "{{.ID}}\t{{.Names}}";
  const auto asked = [&](const char* format) {
    std::string fields;
    const auto append = [&](absl::string_view field, std::string& text) {
      absl::StrAppend(&fields, field, ";");
      text += "x";
      return true;
    };
    const auto whole = [&] {
      fields += "all;";
      return Json{{"ID", "x"}, {"Names", "x"}};
    };
    std::string text;
    EXPECT_TRUE(RowView::Parse(format, kind)->Append(append, whole, text).ok());
    return fields;
  };
  EXPECT_EQ(asked(""), "ID;Names;");
  EXPECT_EQ(asked("table {{.ID}}"), "ID;");
  EXPECT_EQ(asked("json"), "all;");
  EXPECT_EQ(asked("{{.ID}} {{upper .Names}}"), "all;");
}

TEST(RowViewTest, CellsAreAlignedAlsoInEmptyLines) {
  EXPECT_EQ(AlignTabs("a\tb\n\n\tlong enough cell\tc\n"),
            "a         b\n\n          long enough cell   c\n");
}

TEST(RowViewTest, PlainFieldsAndOthersRenderAlike) {
  RowKind kind;
  const std::vector<Json> rows = {{{"A", "1"}, {"B", "{{.A}}"}}, {{"A", ""}, {"B", "2"}}};
  const auto render = [&](const char* format) {
    return *RowView::Parse(format, kind)->Render(rows);
  };
  EXPECT_EQ(render("{{.A}}-{{.B}}."), "1-{{.A}}.\n-2.\n");
  EXPECT_EQ(render("{{.A}}-{{ .B }}."), "1-{{.A}}.\n-2.\n");
  EXPECT_FALSE(RowView::Parse("{{.A}}{{.C}}", kind)->Render(rows).ok());
}

}  // namespace
}  // namespace berth::client
