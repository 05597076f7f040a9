#include "client/commands/command.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

constexpr int kUsageError = 2;

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

struct RestArguments {
  Positionals positionals;
  std::vector<std::string>* values = nullptr;
};

}  // namespace

struct CommandTree::Impl {
  explicit Impl(const std::string& description) : root(description) {}

  CLI::App root;
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
  app_->prefix_command();
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
  app->fallthrough();  // global options may stand after the command, too
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
  try {
    impl_->root.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return {nullptr, impl_->root.exit(help)};
  } catch (const CLI::ParseError& error) {
    std::cerr << "berth: " << error.what() << "\nTry the command with --help.\n";
    return {nullptr, kUsageError};
  }
  const CLI::App* chosen = &impl_->root;
  while (!chosen->get_subcommands().empty()) chosen = chosen->get_subcommands().front();
  const std::vector<std::string> remaining = chosen->remaining();
  const auto rest = impl_->rest.find(chosen);
  const auto complain = [&](absl::string_view what) -> Parsed {
    std::cerr << "berth: " << what << "\n"
              << impl_->formatter->make_usage(chosen, chosen->get_display_name());
    return {nullptr, kUsageError};
  };
  if (rest != impl_->rest.end()) {
    const Positionals& wanted = rest->second.positionals;
    const int count = static_cast<int>(remaining.size());
    if (count > 0 && remaining[0].size() > 1 && remaining[0][0] == '-' && remaining[0] != "--") {
      return complain(absl::StrCat("unknown option ", remaining[0]));
    }
    *rest->second.values = remaining;
    if (count > 0 && remaining[0] == "--") rest->second.values->erase(rest->second.values->begin());
    const int given = static_cast<int>(rest->second.values->size());
    if (given < wanted.minimum) return complain("an argument is missing");
    if (wanted.maximum >= 0 && given > wanted.maximum) {
      return complain(absl::StrCat("too many arguments: \"",
                                   (*rest->second.values)[static_cast<size_t>(wanted.maximum)],
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
