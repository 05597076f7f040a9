#include "client/commands/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

constexpr int kUsageError = 125;  // docker's

// CLI11's help with the arguments that Rest() declares; CLI11 itself knows nothing of them.
class Formatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, std::move(name));
    const auto found = arguments.find(app);
    if (found == arguments.end()) return usage;
    return absl::StrCat(absl::StripTrailingAsciiWhitespace(usage), " ", found->second, "\n");
  }

  std::map<const CLI::App*, std::string> arguments;
};

// "-a,--address" -> "--address": short names are for the commands' own options.
std::string LongName(absl::string_view names) {
  for (absl::string_view name : absl::StrSplit(names, ',')) {
    if (absl::StartsWith(name, "--")) return std::string(name);
  }
  return std::string(names);
}

// "berth image ls".
std::string PathOf(const CLI::App* app) {
  std::string path = app->get_name();
  while ((app = app->get_parent()) != nullptr) path = absl::StrCat(app->get_name(), " ", path);
  return path;
}

// The first word that looks like an option among those that no option took; empty without one.
std::string FindOption(const std::vector<std::string>& words, OptionPlace place) {
  for (const std::string& word : words) {
    if (word.size() > 1 && word[0] == '-') return word;
    if (place == OptionPlace::kBeforeArguments) break;
  }
  return "";
}

struct GlobalOption {
  std::string name;
  std::string* value = nullptr;
};

struct RestArguments {
  Positionals positionals;
  std::vector<std::string>* values = nullptr;
};

}  // namespace

struct CommandTree::Impl {
  explicit Impl(const std::string& description) : root(description) {}

  CLI::App root;
  std::vector<GlobalOption> global;  // the root's, repeated at every command
  std::shared_ptr<Formatter> formatter = std::make_shared<Formatter>();
  std::map<const CLI::App*, RestArguments> rest;
  std::map<const CLI::App*, Action> actions;
};

Command& Command::Flag(absl::string_view names, bool& value, absl::string_view help) {
  app_->add_flag(std::string(names), value, std::string(help));
  return *this;
}

Command& Command::Option(absl::string_view names, std::string& value, absl::string_view help) {
  app_->add_option(std::string(names), value, std::string(help));
  if (app_ == &tree_->impl_->root) tree_->impl_->global.push_back({LongName(names), &value});
  return *this;
}

Command& Command::Option(absl::string_view names, int& value, absl::string_view help) {
  app_->add_option(std::string(names), value, std::string(help));
  return *this;
}

Command& Command::Option(absl::string_view names, double& value, absl::string_view help) {
  app_->add_option(std::string(names), value, std::string(help));
  return *this;
}

Command& Command::Option(absl::string_view names, std::vector<std::string>& values,
                         absl::string_view help) {
  app_->add_option(std::string(names), values, std::string(help))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  return *this;
}

Command& Command::Rest(const Positionals& positionals, std::vector<std::string>& values) {
  if (positionals.options == OptionPlace::kBeforeArguments) {
    app_->prefix_command();
  } else {
    app_->allow_extras();
  }
  tree_->impl_->rest[app_] = {positionals, &values};
  tree_->impl_->formatter->arguments[app_] = positionals.usage;
  return *this;
}

Command& Command::Examples(absl::string_view text) {
  app_->footer(absl::StrCat("Examples:\n", text));
  return *this;
}

Command& Command::Do(Action action) {
  tree_->impl_->actions[app_] = std::move(action);
  return *this;
}

Command Command::Add(absl::string_view names, absl::string_view description) {
  const std::vector<std::string> parts = absl::StrSplit(names, ',');
  CLI::App* app = app_->add_subcommand(parts[0], std::string(description));
  for (size_t i = 1; i < parts.size(); ++i) app->alias(parts[i]);
  app->footer("");  // CLI11 copies the parent's
  // CLI11's own way (fallthrough) takes the arguments of Rest() along to the root.
  for (const GlobalOption& option : tree_->impl_->global) {
    app->add_option(option.name, *option.value)->group("");
  }
  app->formatter(tree_->impl_->formatter);
  return Command(*tree_, *app);
}

CommandTree::CommandTree(absl::string_view program, absl::string_view description)
    : impl_(std::make_unique<Impl>(std::string(description))) {
  impl_->root.name(std::string(program));
  impl_->root.formatter(impl_->formatter);
}

CommandTree::~CommandTree() = default;

Command CommandTree::root() { return Command(*this, impl_->root); }

CommandTree::Parsed CommandTree::Parse(int argc, const char* const* argv) {
  // CLI11 gives "--" a meaning of its own; here it ends the options and nothing more.
  const char* const* end = argv + argc;
  const char* const* dashes =
      std::find_if(argv, end, [](const char* word) { return absl::string_view(word) == "--"; });
  try {
    impl_->root.parse(static_cast<int>(dashes - argv), argv);
  } catch (const CLI::Success& help) {
    return {nullptr, impl_->root.exit(help)};
  } catch (const CLI::ParseError& error) {
    std::cerr << "berth: " << error.what() << "\nTry the command with --help.\n";
    return {nullptr, kUsageError};
  }
  const CLI::App* chosen = &impl_->root;
  while (!chosen->get_subcommands().empty()) chosen = chosen->get_subcommands().front();
  std::vector<std::string> remaining = chosen->remaining();
  const auto rest = impl_->rest.find(chosen);
  const OptionPlace place =
      rest == impl_->rest.end() ? OptionPlace::kAnywhere : rest->second.positionals.options;
  const std::string unknown_option = FindOption(remaining, place);
  // After the first argument "--" belongs to the program that is to be run.
  if (dashes != end) {
    const bool is_separator = remaining.empty() || place == OptionPlace::kAnywhere;
    remaining.insert(remaining.end(), is_separator ? dashes + 1 : dashes, end);
  }
  const auto complain = [&](absl::string_view what) -> Parsed {
    std::cerr << "berth: " << what << "\n" << impl_->formatter->make_usage(chosen, PathOf(chosen));
    return {nullptr, kUsageError};
  };
  if (rest != impl_->rest.end()) {
    const Positionals& wanted = rest->second.positionals;
    if (!unknown_option.empty()) return complain(absl::StrCat("unknown option ", unknown_option));
    *rest->second.values = remaining;
    const int given = static_cast<int>(remaining.size());
    if (given < wanted.minimum) return complain("an argument is missing");
    if (wanted.maximum >= 0 && given > wanted.maximum) {
      return complain(absl::StrCat("too many arguments: \"",
                                   remaining[static_cast<size_t>(wanted.maximum)],
                                   "\" was not expected"));
    }
  }
  const auto action = impl_->actions.find(chosen);
  if (action == impl_->actions.end()) {
    std::cout << chosen->help();
    return {nullptr, chosen == &impl_->root ? 0 : kUsageError};
  }
  return {action->second, 0};
}

}  // namespace berth::client
