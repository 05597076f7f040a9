#include "client/commands/command_help.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kWidestHeading = 30;  // a longer one has a line of its own

std::string Heading(absl::string_view text, HelpStyle style) {
  return style == HelpStyle::kColour ? absl::StrCat("\x1b[1m", text, "\x1b[0m") : std::string(text);
}

struct Entry {
  std::string heading;
  std::string text;
};

// Two columns, the second one wrapped.
std::string Columns(const std::vector<Entry>& entries) {
  size_t width = 0;
  for (const Entry& entry : entries) {
    width = std::max(width, std::min(entry.heading.size(), kWidestHeading));
  }
  std::string out;
  const std::string indent(width + 5, ' ');
  for (const Entry& entry : entries) {
    std::string line = absl::StrCat("  ", entry.heading);
    if (entry.heading.size() > width) {
      absl::StrAppend(&out, line, "\n");
      line = indent;
    } else {
      line.append(indent.size() - line.size(), ' ');
    }
    bool is_empty = true;
    for (absl::string_view word : absl::StrSplit(entry.text, ' ')) {
      if (!is_empty && line.size() + 1 + word.size() > kWidth) {
        absl::StrAppend(&out, line, "\n");
        line = indent;
        is_empty = true;
      }
      absl::StrAppend(&line, is_empty ? "" : " ", word);
      is_empty = false;
    }
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Options(const std::vector<OptionNode>& options) {
  std::vector<Entry> entries;
  std::vector<const OptionNode*> sorted;
  for (const OptionNode& option : options) sorted.push_back(&option);
  std::sort(sorted.begin(), sorted.end(),
            [](const OptionNode* a, const OptionNode* b) { return a->LongName() < b->LongName(); });
  for (const OptionNode* option : sorted) entries.push_back({OptionHeading(*option), option->help});
  return Columns(entries);
}

std::string Children(const CommandNode& node, HelpStyle style) {
  std::vector<std::string> groups;
  for (const auto& child : node.children) {
    if (!child->is_hidden &&
        std::find(groups.begin(), groups.end(), child->group) == groups.end()) {
      groups.push_back(child->group);
    }
  }
  std::string out;
  for (const std::string& group : groups) {
    std::vector<Entry> entries;
    for (const auto& child : node.children) {
      if (!child->is_hidden && child->group == group) {
        entries.push_back({child->name, child->summary});
      }
    }
    absl::StrAppend(&out, "\n",
                    Heading(group.empty() ? "Commands:" : absl::StrCat(group, ":"), style), "\n",
                    Columns(entries));
  }
  return out;
}

}  // namespace

HelpStyle HelpStyleFor(std::FILE* stream) {
  const char* no_color = ::getenv("NO_COLOR");
  const char* term = ::getenv("TERM");
  const bool is_refused = (no_color != nullptr && *no_color != '\0') ||
                          (term != nullptr && absl::string_view(term) == "dumb");
  return !is_refused && ::isatty(::fileno(stream)) == 1 ? HelpStyle::kColour : HelpStyle::kPlain;
}

std::string OptionHeading(const OptionNode& option) {
  // Long names stand in one column, whether there is a short one or not.
  const std::string indent = absl::StartsWith(option.names[0], "--") ? "    " : "";
  return absl::StrCat(indent, absl::StrJoin(option.names, ", "), option.is_flag() ? "" : " ",
                      option.value_name);
}

std::string HelpText(const CommandNode& node, HelpStyle style) {
  std::string out =
      absl::StrCat(Heading("Usage:", style), "  ", node.Usage(), "\n\n", node.summary, "\n");
  if (!node.description.empty()) absl::StrAppend(&out, "\n", node.description, "\n");
  if (!node.aliases.empty()) {
    absl::StrAppend(&out, "\n", Heading("Aliases:", style), "  ", absl::StrJoin(node.aliases, ", "),
                    "\n");
  }
  if (!node.children.empty()) out += Children(node, style);
  if (!node.options.empty()) {
    const bool is_root = node.parent == nullptr;
    absl::StrAppend(&out, "\n", Heading(is_root ? "Global options:" : "Options:", style), "\n",
                    Options(node.options));
  }
  if (!node.examples.empty()) {
    absl::StrAppend(&out, "\n", Heading("Examples:", style), "\n", node.examples,
                    absl::EndsWith(node.examples, "\n") ? "" : "\n");
  }
  if (!node.children.empty()) {
    absl::StrAppend(&out, "\n'", node.Path(), " COMMAND --help' says more about a command.\n");
  }
  return out;
}

}  // namespace berth::client
