#include "client/commands/command.h"

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands/command_help.h"
#include "client/commands/command_parser.h"

namespace berth::client {
namespace {

constexpr int kUsageError = 125;  // docker's

absl::Status SetBool(absl::string_view text, bool& value) {
  if (absl::SimpleAtob(text, &value)) return absl::OkStatus();
  return absl::InvalidArgumentError("expected true or false");
}

template <typename Integer>
absl::Status SetInteger(absl::string_view text, Integer& value) {
  if (absl::SimpleAtoi(text, &value)) return absl::OkStatus();
  return absl::InvalidArgumentError("expected a whole number");
}

}  // namespace

Command& Command::AddOption(absl::string_view names, absl::string_view default_value_name,
                            absl::string_view help,
                            std::function<absl::Status(absl::string_view)> set) {
  const std::vector<std::string> parts = absl::StrSplit(names, absl::MaxSplits(' ', 1));
  OptionNode option;
  option.names = absl::StrSplit(parts[0], ',');
  option.value_name = parts.size() > 1 ? parts[1] : std::string(default_value_name);
  option.help = std::string(help);
  option.set = std::move(set);
  node_->options.push_back(std::move(option));
  return *this;
}

Command& Command::Flag(absl::string_view names, bool& value, absl::string_view help) {
  return AddOption(names, "", help,
                   [&value](absl::string_view text) { return SetBool(text, value); });
}

Command& Command::Flag(absl::string_view names, std::optional<bool>& value,
                       absl::string_view help) {
  return AddOption(names, "", help,
                   [&value](absl::string_view text) { return SetBool(text, value.emplace()); });
}

Command& Command::Option(absl::string_view names, std::string& value, absl::string_view help) {
  return AddOption(names, "TEXT", help, [&value](absl::string_view text) {
    value = std::string(text);
    return absl::OkStatus();
  });
}

Command& Command::Option(absl::string_view names, int& value, absl::string_view help) {
  return AddOption(names, "N", help,
                   [&value](absl::string_view text) { return SetInteger(text, value); });
}

Command& Command::Option(absl::string_view names, int64_t& value, absl::string_view help) {
  return AddOption(names, "N", help,
                   [&value](absl::string_view text) { return SetInteger(text, value); });
}

Command& Command::Option(absl::string_view names, double& value, absl::string_view help) {
  return AddOption(names, "NUMBER", help, [&value](absl::string_view text) {
    return absl::SimpleAtod(text, &value) ? absl::OkStatus()
                                          : absl::InvalidArgumentError("expected a number");
  });
}

Command& Command::Option(absl::string_view names, std::optional<std::string>& value,
                         absl::string_view help) {
  return AddOption(names, "TEXT", help, [&value](absl::string_view text) {
    value = std::string(text);
    return absl::OkStatus();
  });
}

Command& Command::Option(absl::string_view names, std::optional<int>& value,
                         absl::string_view help) {
  return AddOption(names, "N", help,
                   [&value](absl::string_view text) { return SetInteger(text, value.emplace()); });
}

Command& Command::Option(absl::string_view names, std::vector<std::string>& values,
                         absl::string_view help) {
  return AddOption(names, "LIST", help, [&values](absl::string_view text) {
    values.push_back(std::string(text));
    return absl::OkStatus();
  });
}

Command& Command::Rest(const Positionals& positionals, std::vector<std::string>& values) {
  node_->positionals = positionals;
  node_->rest = &values;
  return *this;
}

Command& Command::Description(absl::string_view text) {
  node_->description = std::string(text);
  return *this;
}

Command& Command::Examples(absl::string_view text) {
  node_->examples = std::string(text);
  return *this;
}

Command& Command::Group(absl::string_view heading) {
  node_->group = std::string(heading);
  return *this;
}

Command& Command::Hide() {
  node_->is_hidden = true;
  return *this;
}

Command& Command::Do(Action action) {
  node_->action = std::move(action);
  return *this;
}

Command Command::Add(absl::string_view names, absl::string_view description) {
  std::vector<std::string> parts = absl::StrSplit(names, ',');
  auto child = std::make_unique<CommandNode>();
  child->name = parts[0];
  child->aliases.assign(parts.begin() + 1, parts.end());
  child->summary = std::string(description);
  child->parent = node_;
  node_->children.push_back(std::move(child));
  return Command(*node_->children.back());
}

CommandTree::CommandTree(absl::string_view program, absl::string_view description) {
  root_.name = std::string(program);
  root_.summary = std::string(description);
}

void CommandTree::SetGroup(absl::string_view heading, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (CommandNode* child = root_.FindChild(name); child != nullptr) {
      child->group = std::string(heading);
    }
  }
}

CommandTree::Parsed CommandTree::Parse(int argc, const char* const* argv) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  const ParseOutcome outcome = ParseCommandLine(root_, words);
  const CommandNode& chosen = *outcome.node;
  if (!outcome.error.ok()) {
    std::fprintf(stderr, "%s: %s\nSee '%s --help'.\n", root_.name.c_str(),
                 std::string(outcome.error.message()).c_str(), chosen.Path().c_str());
    return {nullptr, kUsageError, chosen.Path()};
  }
  if (outcome.wants_help || !chosen.action) {
    const bool is_mistake = !outcome.wants_help && &chosen != &root_;
    std::fputs(HelpText(chosen, HelpStyleFor(is_mistake ? stderr : stdout)).c_str(),
               is_mistake ? stderr : stdout);
    return {nullptr, is_mistake ? kUsageError : 0, chosen.Path()};
  }
  return {chosen.action, 0, chosen.Path()};
}

}  // namespace berth::client
