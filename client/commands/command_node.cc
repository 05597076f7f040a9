#include "client/commands/command_node.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::client {

bool OptionNode::Has(absl::string_view name) const {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string OptionNode::LongName() const {
  for (const std::string& name : names) {
    if (absl::StartsWith(name, "--")) return name;
  }
  return names[0];
}

const CommandNode* CommandNode::FindChild(absl::string_view word) const {
  for (const std::unique_ptr<CommandNode>& child : children) {
    if (child->name == word ||
        std::find(child->aliases.begin(), child->aliases.end(), word) != child->aliases.end()) {
      return child.get();
    }
  }
  return nullptr;
}

CommandNode* CommandNode::FindChild(absl::string_view word) {
  return const_cast<CommandNode*>(static_cast<const CommandNode*>(this)->FindChild(word));
}

const OptionNode* CommandNode::FindOption(absl::string_view option) const {
  for (const OptionNode& own : options) {
    if (own.Has(option)) return &own;
  }
  if (parent == nullptr || !absl::StartsWith(option, "--")) return nullptr;
  for (const OptionNode& global : Root().options) {
    if (global.Has(option) && !global.is_flag()) return &global;
  }
  return nullptr;
}

const CommandNode& CommandNode::Root() const {
  const CommandNode* node = this;
  while (node->parent != nullptr) node = node->parent;
  return *node;
}

std::string CommandNode::Path() const {
  return parent == nullptr ? name : absl::StrCat(parent->Path(), " ", name);
}

std::string CommandNode::Usage() const {
  std::string usage = Path();
  if (!options.empty()) absl::StrAppend(&usage, " [OPTIONS]");
  if (!children.empty()) absl::StrAppend(&usage, " COMMAND");
  if (!positionals.usage.empty()) absl::StrAppend(&usage, " ", positionals.usage);
  return usage;
}

}  // namespace berth::client
