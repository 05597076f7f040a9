// A list as the user wants to see it: --format table, json, a template for each row, or a table of
// templates.
//
// Invariant: a row has every field in every format. Thread-compatible; built by one command.
#ifndef BERTH_CLIENT_FORMAT_ROW_VIEW_H_
#define BERTH_CLIENT_FORMAT_ROW_VIEW_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/format/template.h"
#include "client/sdk/json_access.h"

namespace berth::client {

// What a command lists.
struct RowKind {
  std::string table;                            // "{{.ID}}\t{{.Names}}": the default's columns
  std::map<std::string, std::string> headings;  // field -> heading; others: the field in capitals
  TemplateMethods methods;
};

class RowView {
 public:
  // `format`: "" or "table", "table TEMPLATE", "json" (one object a line), TEMPLATE. \t and \n
  // stand for a tab and a line end. Errors: INVALID_ARGUMENT with the position of the mistake.
  static absl::StatusOr<RowView> Parse(absl::string_view format, const RowKind& kind);

  // Whether rows end up in a table, so that ids and digests are better short.
  bool is_table() const { return is_table_; }

  // Appends the value of `field`; false: a row has no such field.
  using AppendField = absl::FunctionRef<bool(absl::string_view field, std::string& text)>;
  // Lists of thousands are rendered row by row: Begin, Append for each row, Finish. `whole` makes
  // the row with every field, which only a template that looks into it asks for.
  std::string Begin() const;
  absl::Status Append(AppendField append, absl::FunctionRef<Json()> whole, std::string& text) const;
  std::string Finish(std::string text) const;

  absl::StatusOr<std::string> Render(const std::vector<Json>& rows) const;

 private:
  // Text, and then a field; empty: none.
  struct PlainPart {
    std::string text;
    std::string field;
  };

  static std::optional<std::vector<PlainPart>> ParsePlain(absl::string_view source);
  explicit RowView(Template row, TemplateMethods methods)
      : row_(std::move(row)), heading_methods_(std::move(methods)) {}

  std::string Headings() const;
  // Appends the row; false where the template has to say what is wrong with it.
  bool AppendPlain(AppendField append, std::string& text) const;

  Template row_;
  std::string source_;
  TemplateMethods heading_methods_;
  std::map<std::string, std::string> headings_;
  // Set when the template is fields and text alone, as nearly all are: for lists of thousands.
  std::optional<std::vector<PlainPart>> plain_;
  bool is_table_ = false;
};

// {{.Label "key"}} of a row whose field Labels is "key=value,key=value".
TemplateMethod LabelMethod();

// Lines of cells divided by tabs, as columns of even width.
std::string AlignTabs(absl::string_view text);

// Documents as `inspect` shows them: one JSON list, or each through the template `format` and a
// line end; "json" is one compact list.
absl::StatusOr<std::string> RenderDocuments(absl::string_view format,
                                            const std::vector<Json>& documents);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_ROW_VIEW_H_
