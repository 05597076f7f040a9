#include "client/commands/command_manual.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

// Text that roff must not read as its own: a dash stays a dash, a leading dot a dot.
std::string Escape(absl::string_view text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}, {"'", "\\(aq"}});
  std::vector<std::string> lines = absl::StrSplit(escaped, '\n');
  for (std::string& line : lines) {
    if (absl::StartsWith(line, ".")) line = absl::StrCat("\\&", line);
  }
  return absl::StrJoin(lines, "\n");
}

std::string PageName(const CommandNode& node) {
  return absl::StrReplaceAll(node.Path(), {{" ", "-"}});
}

std::string Reference(const CommandNode& node) {
  return absl::StrCat("\\fB", Escape(PageName(node)), "\\fR(1)");
}

std::string OptionsSection(const CommandNode& node) {
  if (node.options.empty()) return "";
  std::string out = node.parent == nullptr ? ".SH GLOBAL OPTIONS\n" : ".SH OPTIONS\n";
  for (const OptionNode& option : node.options) {
    std::vector<std::string> names;
    for (const std::string& name : option.names) {
      names.push_back(absl::StrCat("\\fB", Escape(name), "\\fR"));
    }
    absl::StrAppend(&out, ".TP\n", absl::StrJoin(names, ", "));
    if (!option.is_flag()) absl::StrAppend(&out, " \\fI", Escape(option.value_name), "\\fR");
    absl::StrAppend(&out, "\n", Escape(option.help), "\n");
  }
  return out;
}

std::string CommandsSection(const CommandNode& node) {
  if (node.children.empty()) return "";
  std::string out = ".SH COMMANDS\n";
  for (const auto& child : node.children) {
    if (child->is_hidden) continue;
    absl::StrAppend(&out, ".TP\n", Reference(*child), "\n", Escape(child->summary), "\n");
  }
  return out;
}

}  // namespace

std::string ManualFileName(const CommandNode& node) { return absl::StrCat(PageName(node), ".1"); }

std::string ManualPage(const CommandNode& node, absl::string_view version) {
  std::string out =
      absl::StrCat(".TH \"", absl::AsciiStrToUpper(PageName(node)), "\" 1 \"\" \"berth ", version,
                   "\" \"Berth\"\n.SH NAME\n", Escape(PageName(node)), " \\- ",
                   Escape(node.summary), "\n.SH SYNOPSIS\n\\fB", Escape(node.Usage()),
                   "\\fR\n.SH DESCRIPTION\n", Escape(node.summary), ".\n");
  if (!node.description.empty()) {
    absl::StrAppend(&out, ".PP\n", Escape(absl::StrReplaceAll(node.description, {{"\n\n", "\n"}})),
                    "\n");
  }
  if (!node.aliases.empty()) {
    absl::StrAppend(&out, ".PP\nAliases: ", Escape(absl::StrJoin(node.aliases, ", ")), "\n");
  }
  absl::StrAppend(&out, CommandsSection(node), OptionsSection(node));
  if (!node.examples.empty()) {
    absl::StrAppend(&out, ".SH EXAMPLES\n.nf\n", Escape(node.examples),
                    absl::EndsWith(node.examples, "\n") ? "" : "\n", ".fi\n");
  }
  std::vector<std::string> others;
  if (node.parent != nullptr) others.push_back(Reference(*node.parent));
  others.push_back("\\fBberthd\\fR(8)");
  absl::StrAppend(&out, ".SH SEE ALSO\n", absl::StrJoin(others, ", "), "\n");
  return out;
}

}  // namespace berth::client
