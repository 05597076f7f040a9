// A list as the user wants to see it: --format table, json, a template for each row, or a table of
// templates.
//
// Invariant: a row has every field in every format. Thread-compatible; built by one command.
#ifndef BERTH_CLIENT_FORMAT_ROW_VIEW_H_
#define BERTH_CLIENT_FORMAT_ROW_VIEW_H_

#include <map>
#include <string>
#include <vector>

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

  absl::StatusOr<std::string> Render(const std::vector<Json>& rows) const;

 private:
  explicit RowView(Template row, TemplateMethods methods)
      : row_(std::move(row)), heading_methods_(std::move(methods)) {}

  std::string Headings() const;

  Template row_;
  std::string source_;
  TemplateMethods heading_methods_;
  std::map<std::string, std::string> headings_;
  bool is_table_ = false;
};

// Lines of cells divided by tabs, as columns of even width.
std::string AlignTabs(absl::string_view text);

// Documents as `inspect` shows them: one JSON list, or each through the template `format` and a
// line end; "json" is one compact list.
absl::StatusOr<std::string> RenderDocuments(absl::string_view format,
                                            const std::vector<Json>& documents);

}  // namespace berth::client

#endif  // BERTH_CLIENT_FORMAT_ROW_VIEW_H_
