#include "client/format/row_view.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"
#include "client/format/template_function.h"

namespace berth::client {
namespace {

constexpr size_t kGap = 3;
constexpr size_t kNarrowest = 10;
constexpr char kJsonRow[] = "{{json .}}";

// Columns on the screen: UTF-8 continuation bytes take none.
size_t Width(absl::string_view text) {
  size_t width = 0;
  for (const char c : text) width += (c & 0xc0) != 0x80 ? 1 : 0;
  return width;
}

// `see` gets each cell with its column, and whether its line ends behind it.
void ForEachCell(
    absl::string_view text,
    absl::FunctionRef<void(size_t column, absl::string_view cell, bool ends_line)> see) {
  size_t column = 0;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = begin;
    while (end < text.size() && text[end] != '\t' && text[end] != '\n') ++end;
    const bool ends_line = end == text.size() || text[end] == '\n';
    see(column, text.substr(begin, end - begin), ends_line);
    column = ends_line ? 0 : column + 1;
    begin = end + 1;
  }
}

}  // namespace

absl::StatusOr<RowView> RowView::Parse(absl::string_view format, const RowKind& kind) {
  std::string source =
      absl::StrReplaceAll(absl::StripAsciiWhitespace(format), {{"\\t", "\t"}, {"\\n", "\n"}});
  bool is_table = false;
  if (source.empty() || source == "table") {
    is_table = true;
    source = kind.table;
  } else if (source == "json") {
    source = kJsonRow;
  } else if (absl::string_view rest = source; absl::ConsumePrefix(&rest, "table ")) {
    is_table = true;
    source = std::string(absl::StripAsciiWhitespace(rest));
  }
  BERTH_ASSIGN_OR_RETURN(Template row, Template::Parse(source, kind.methods), _ << "--format");
  // Above a computed column stands what it was computed from.
  TemplateMethods heading_methods;
  for (const auto& [name, method] : kind.methods) {
    heading_methods[name] = [name = name](const Json&, const std::vector<Json>& arguments) {
      return Json(arguments.empty() ? absl::AsciiStrToUpper(name) : PrintValue(arguments[0]));
    };
  }
  RowView view(std::move(row), std::move(heading_methods));
  view.is_table_ = is_table;
  view.plain_ = ParsePlain(source);
  view.source_ = source;
  view.headings_ = kind.headings;
  return view;
}

std::optional<std::vector<RowView::PlainPart>> RowView::ParsePlain(absl::string_view source) {
  std::vector<PlainPart> parts;
  while (true) {
    const size_t begin = source.find("{{");
    parts.push_back({std::string(source.substr(0, begin)), ""});
    if (begin == absl::string_view::npos) return parts;
    absl::string_view rest = source.substr(begin);
    const size_t end = rest.find("}}");
    if (end == absl::string_view::npos || !absl::ConsumePrefix(&rest, "{{.")) return std::nullopt;
    const absl::string_view field = rest.substr(0, end - 3);
    if (field.empty() || !std::all_of(field.begin(), field.end(), absl::ascii_isalnum)) {
      return std::nullopt;
    }
    parts.back().field = std::string(field);
    source = rest.substr(end - 1);
  }
}

bool RowView::AppendPlain(AppendField append, std::string& text) const {
  if (!plain_.has_value()) return false;
  const size_t before = text.size();
  for (const PlainPart& part : *plain_) {
    absl::StrAppend(&text, part.text);
    if (!part.field.empty() && !append(part.field, text)) {
      text.resize(before);
      return false;
    }
  }
  return true;
}

std::string RowView::Headings() const {
  Json document = Json::object();
  for (const auto& [field, heading] : headings_) document[field] = heading;
  for (const std::string& field : row_.FieldNames()) {
    if (!document.contains(field)) document[field] = absl::AsciiStrToUpper(field);
  }
  absl::StatusOr<Template> row = Template::Parse(source_, heading_methods_);
  if (!row.ok()) return "";
  // A template that looks into its fields finds nothing in a heading.
  return row->Execute(document).value_or("");
}

std::string RowView::Begin() const { return is_table_ ? absl::StrCat(Headings(), "\n") : ""; }

absl::Status RowView::Append(AppendField append, absl::FunctionRef<Json()> whole,
                             std::string& text) const {
  if (!AppendPlain(append, text)) {
    BERTH_ASSIGN_OR_RETURN(const std::string line, row_.Execute(whole()), _ << "--format");
    absl::StrAppend(&text, line);
  }
  text.push_back('\n');
  return absl::OkStatus();
}

std::string RowView::Finish(std::string text) const { return is_table_ ? AlignTabs(text) : text; }

absl::StatusOr<std::string> RowView::Render(const std::vector<Json>& rows) const {
  std::string text = Begin();
  for (const Json& row : rows) {
    const auto append = [&row](absl::string_view field, std::string& out) {
      const auto found = row.find(std::string(field));
      if (found == row.end() || !found->is_string()) return false;
      out += found->get_ref<const std::string&>();
      return true;
    };
    BERTH_RETURN_IF_ERROR(Append(
        append, [&row] { return row; }, text));
  }
  return Finish(std::move(text));
}

TemplateMethod LabelMethod() {
  return [](const Json& row, const std::vector<Json>& arguments) -> absl::StatusOr<Json> {
    if (arguments.size() != 1 || !arguments[0].is_string()) {
      return absl::InvalidArgumentError("wants a key: {{.Label \"com.example.key\"}}");
    }
    // As docker has it, the text is all there is.
    for (absl::string_view pair : absl::StrSplit(StringAt(row, "Labels"), ',')) {
      const std::pair<std::string, std::string> parts =
          absl::StrSplit(pair, absl::MaxSplits('=', 1));
      if (parts.first == arguments[0].get<std::string>()) return Json(parts.second);
    }
    return Json("");
  };
}

std::string AlignTabs(absl::string_view text) {
  text = absl::StripSuffix(text, "\n");
  std::vector<size_t> widths;
  size_t lines = 0;
  ForEachCell(text, [&](size_t column, absl::string_view cell, bool ends_line) {
    if (column == widths.size()) widths.push_back(kNarrowest);
    widths[column] = std::max(widths[column], Width(cell) + kGap);
    lines += ends_line ? 1 : 0;
  });
  std::string aligned;
  aligned.reserve(lines * std::accumulate(widths.begin(), widths.end(), size_t{0}) + text.size());
  size_t line_begin = 0;
  ForEachCell(text, [&](size_t column, absl::string_view cell, bool ends_line) {
    aligned.append(cell.data(), cell.size());
    if (!ends_line) {
      aligned.append(widths[column] - Width(cell), ' ');
      return;
    }
    while (aligned.size() > line_begin && absl::ascii_isspace(aligned.back())) aligned.pop_back();
    aligned.push_back('\n');
    line_begin = aligned.size();
  });
  return aligned;
}

absl::StatusOr<std::string> RenderDocuments(absl::string_view format,
                                            const std::vector<Json>& documents) {
  const bool is_json = format == "json";
  if (format.empty() || is_json) {
    const Json list = documents;
    return absl::StrCat(list.dump(is_json ? -1 : 4, ' ', false, Json::error_handler_t::replace),
                        "\n");
  }
  BERTH_ASSIGN_OR_RETURN(
      const Template each,
      Template::Parse(absl::StrReplaceAll(format, {{"\\t", "\t"}, {"\\n", "\n"}})),
      _ << "--format");
  std::string text;
  for (const Json& document : documents) {
    BERTH_ASSIGN_OR_RETURN(const std::string one, each.Execute(document), _ << "--format");
    absl::StrAppend(&text, one, "\n");
  }
  return text;
}

}  // namespace berth::client
