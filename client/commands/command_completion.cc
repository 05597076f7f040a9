#include "client/commands/command_completion.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

constexpr char kBashScript[] = R"SH(# bash completion for PROGRAM
_PROGRAM() {
  local IFS=$'\n' word
  COMPREPLY=()
  for word in $(PROGRAM __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
    COMPREPLY+=("${word%%$'\t'*}")
  done
  # No candidates: files, which is what bash offers by itself.
}
complete -o default -o bashdefault -F _PROGRAM PROGRAM
)SH";

// clang-format off: it would take the shell's words for ours.
constexpr char kZshScript[] = R"SH(#compdef PROGRAM
# zsh completion for PROGRAM
_PROGRAM() {
  local line
  local -a candidates
  for line in ${(f)"$(PROGRAM __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
    candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  if (( ${#candidates} )); then
    _describe -V PROGRAM candidates
  else
    _files
  fi
}
if [ "$funcstack[1]" = "_PROGRAM" ]; then
  _PROGRAM "$@"
else
  compdef _PROGRAM PROGRAM
fi
)SH";
// clang-format on

// "CONTAINER" of "CONTAINER [CONTAINER...]" at any index; the last kind goes on where the usage
// says so.
std::string KindAt(absl::string_view usage, size_t index) {
  std::vector<std::string> kinds;
  bool repeats = false;
  for (absl::string_view part : absl::StrSplit(usage, absl::ByAnyChar(" []|"), absl::SkipEmpty())) {
    if (absl::EndsWith(part, "...")) repeats = true;
    const std::string kind(absl::StripSuffix(part, "..."));
    if (kinds.empty() || kinds.back() != kind) kinds.push_back(kind);
  }
  if (index < kinds.size()) return kinds[index];
  return repeats && !kinds.empty() ? kinds.back() : "";
}

// Where the words before the last one lead.
struct Place {
  const CommandNode* node;
  const OptionNode* waiting = nullptr;  // its value comes next
  size_t arguments = 0;
  bool options_ended = false;
};

Place FollowWords(const CommandNode& root, const std::vector<std::string>& words) {
  Place place = {&root};
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (place.waiting != nullptr) {
      place.waiting = nullptr;
    } else if (word == "--") {
      place.options_ended = true;
    } else if (!place.options_ended && word.size() > 1 && word[0] == '-') {
      if (absl::StrContains(word, '=')) continue;
      // Of a cluster such as -it the last option may want a value.
      const std::string name =
          word[1] == '-' || word.size() == 2 ? word : std::string("-") + word.back();
      const OptionNode* option = place.node->FindOption(name);
      if (option != nullptr && !option->is_flag()) place.waiting = option;
    } else if (const CommandNode* child = place.node->FindChild(word); child != nullptr) {
      place.node = child;
    } else {
      ++place.arguments;
      if (place.node->positionals.options == OptionPlace::kBeforeArguments) {
        place.options_ended = true;
      }
    }
  }
  return place;
}

}  // namespace

std::vector<Candidate> Complete(const CommandNode& root, const std::vector<std::string>& words,
                                const ObjectNames& object_names) {
  if (words.empty()) return {};
  const std::string& prefix = words.back();
  const Place place = FollowWords(root, words);
  std::vector<Candidate> candidates;
  const auto offer = [&](absl::string_view word, absl::string_view help) {
    if (absl::StartsWith(word, prefix)) {
      candidates.push_back({std::string(word), std::string(help)});
    }
  };
  if (place.waiting != nullptr) {
    for (const std::string& name : object_names(place.waiting->value_name)) offer(name, "");
    return candidates;
  }
  if (!place.options_ended && absl::StartsWith(prefix, "-")) {
    for (const OptionNode& option : place.node->options) offer(option.LongName(), option.help);
    offer("--help", "Show help");
    return candidates;
  }
  for (const auto& child : place.node->children) {
    if (!child->is_hidden) offer(child->name, child->summary);
  }
  if (place.node->children.empty()) {
    const std::string kind = KindAt(place.node->positionals.usage, place.arguments);
    for (const std::string& name : object_names(kind)) offer(name, "");
  }
  return candidates;
}

std::string BashCompletionScript(absl::string_view program) {
  return absl::StrReplaceAll(kBashScript, {{"PROGRAM", program}});
}

std::string ZshCompletionScript(absl::string_view program) {
  return absl::StrReplaceAll(kZshScript, {{"PROGRAM", program}});
}

}  // namespace berth::client
