#include "client/format/row_view.h"

#include <algorithm>

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
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
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

bool RowView::Wants(absl::string_view field) const {
  return !plain_.has_value() ||
         std::any_of(plain_->begin(), plain_->end(),
                     [&](const PlainPart& part) { return part.field == field; });
}

bool RowView::AppendPlain(const Json& row, std::string& text) const {
  if (!plain_.has_value()) return false;
  const size_t before = text.size();
  for (const PlainPart& part : *plain_) {
    absl::StrAppend(&text, part.text);
    if (part.field.empty()) continue;
    const auto found = row.find(part.field);
    if (found == row.end() || !found->is_string()) {
      text.resize(before);
      return false;
    }
    absl::StrAppend(&text, found->get_ref<const std::string&>());
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

absl::StatusOr<std::string> RowView::Render(const std::vector<Json>& rows) const {
  std::string text;
  if (is_table_) absl::StrAppend(&text, Headings(), "\n");
  for (const Json& row : rows) {
    if (!AppendPlain(row, text)) {
      BERTH_ASSIGN_OR_RETURN(const std::string line, row_.Execute(row), _ << "--format");
      absl::StrAppend(&text, line);
    }
    text.push_back('\n');
  }
  return is_table_ ? AlignTabs(text) : text;
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
  std::vector<std::vector<absl::string_view>> lines;
  std::vector<size_t> widths;
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    lines.push_back(absl::StrSplit(line, '\t'));
    const std::vector<absl::string_view>& cells = lines.back();
    if (widths.size() < cells.size()) widths.resize(cells.size(), kNarrowest);
    for (size_t i = 0; i < cells.size(); ++i) {
      widths[i] = std::max(widths[i], Width(cells[i]) + kGap);
    }
  }
  std::string aligned;
  for (const std::vector<absl::string_view>& cells : lines) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      absl::StrAppend(&line, cells[i]);
      if (i + 1 < cells.size()) line.append(widths[i] - Width(cells[i]), ' ');
    }
    absl::StrAppend(&aligned, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
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
