#include "client/commands/command_parser.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/suggestion.h"

namespace berth::client {
namespace {

class Parser {
 public:
  Parser(CommandNode& root, const std::vector<std::string>& words) : node_(&root), words_(words) {}

  ParseOutcome Run() {
    absl::Status error = Walk();
    if (error.ok() && !wants_help_ && node_->action) error = CheckArguments();
    if (error.ok() && node_->rest != nullptr) *node_->rest = arguments_;
    return {node_, wants_help_, error};
  }

 private:
  static absl::Status Fault(absl::string_view what) { return absl::InvalidArgumentError(what); }

  absl::Status Walk() {
    bool options_ended = false;
    while (at_ < words_.size() && !wants_help_) {
      const std::string& word = words_[at_];
      if (!options_ended && word.size() > 1 && word[0] == '-') {
        ++at_;
        if (word == "--") {
          options_ended = true;
        } else if (word[1] == '-') {
          BERTH_RETURN_IF_ERROR(ParseLong(word));
        } else {
          BERTH_RETURN_IF_ERROR(ParseShort(word));
        }
        continue;
      }
      ++at_;
      if (!node_->children.empty()) {
        CommandNode* child = node_->FindChild(word);
        if (child == nullptr) return UnknownCommand(word);
        node_ = child;
        continue;
      }
      arguments_.push_back(word);
      // From here on everything belongs to the program that is to be run, "--" as well.
      if (node_->positionals.options == OptionPlace::kBeforeArguments) {
        arguments_.insert(arguments_.end(), words_.begin() + static_cast<std::ptrdiff_t>(at_),
                          words_.end());
        at_ = words_.size();
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckArguments() const {
    const Positionals& wanted = node_->positionals;
    const int given = static_cast<int>(arguments_.size());
    if (given < wanted.minimum) {
      return Fault(absl::StrCat("\"", node_->Path(), "\" wants ",
                                wanted.maximum == wanted.minimum ? "" : "at least ", wanted.minimum,
                                wanted.minimum == 1 ? " argument" : " arguments",
                                ".\nUsage:  ", node_->Usage()));
    }
    if (wanted.maximum >= 0 && given > wanted.maximum) {
      return Fault(absl::StrCat("too many arguments: \"",
                                arguments_[static_cast<size_t>(wanted.maximum)],
                                "\" was not expected.\nUsage:  ", node_->Usage()));
    }
    return absl::OkStatus();
  }

  absl::Status UnknownCommand(const std::string& word) const {
    std::vector<std::string> known;
    for (const std::unique_ptr<CommandNode>& child : node_->children) {
      if (child->is_hidden) continue;
      known.push_back(child->name);
      known.insert(known.end(), child->aliases.begin(), child->aliases.end());
    }
    return Fault(absl::StrCat("\"", word, "\" is no command of ", node_->Path(), ".",
                              DidYouMean(word, known)));
  }

  absl::Status UnknownOption(const std::string& name) const {
    std::vector<std::string> known;
    for (const OptionNode& option : node_->options) {
      known.insert(known.end(), option.names.begin(), option.names.end());
    }
    return Fault(
        absl::StrCat("unknown option ", name, ".", name.size() > 2 ? DidYouMean(name, known) : ""));
  }

  absl::Status Set(const OptionNode& option, const std::string& name, absl::string_view value) {
    const absl::Status set = option.set(value);
    if (set.ok()) return set;
    return Fault(absl::StrCat("\"", value, "\" is no value for ", name, ": ", set.message()));
  }

  absl::Status SetFromNextWord(const OptionNode& option, const std::string& name) {
    if (at_ >= words_.size()) {
      return Fault(absl::StrCat("option ", name, " wants a value (", option.value_name, ")"));
    }
    return Set(option, name, words_[at_++]);
  }

  absl::Status ParseLong(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const OptionNode* option = node_->FindOption(name);
    if (option == nullptr) {
      if (name == "--help") {
        wants_help_ = true;
        return absl::OkStatus();
      }
      return UnknownOption(name);
    }
    if (equals != std::string::npos) {
      return Set(*option, name, absl::string_view(word).substr(equals + 1));
    }
    if (option->is_flag()) return Set(*option, name, "true");
    return SetFromNextWord(*option, name);
  }

  // "-it", "-eA=1", "-e", "A=1".
  absl::Status ParseShort(const std::string& word) {
    for (size_t i = 1; i < word.size(); ++i) {
      const std::string name = absl::StrCat("-", word.substr(i, 1));
      const OptionNode* option = node_->FindOption(name);
      if (option == nullptr) {
        if (name == "-h") {
          wants_help_ = true;
          return absl::OkStatus();
        }
        const bool is_alone = word.size() == 2;
        return is_alone ? UnknownOption(name)
                        : Fault(absl::StrCat("unknown option ", name, " in ", word, "."));
      }
      const absl::string_view attached = absl::string_view(word).substr(i + 1);
      if (option->is_flag()) {
        if (absl::StartsWith(attached, "=")) return Set(*option, name, attached.substr(1));
        BERTH_RETURN_IF_ERROR(Set(*option, name, "true"));
        continue;
      }
      if (attached.empty()) return SetFromNextWord(*option, name);
      return Set(*option, name, absl::StartsWith(attached, "=") ? attached.substr(1) : attached);
    }
    return absl::OkStatus();
  }

  CommandNode* node_;
  const std::vector<std::string>& words_;
  size_t at_ = 0;
  bool wants_help_ = false;
  std::vector<std::string> arguments_;
};

}  // namespace

ParseOutcome ParseCommandLine(CommandNode& root, const std::vector<std::string>& words) {
  return Parser(root, words).Run();
}

}  // namespace berth::client
