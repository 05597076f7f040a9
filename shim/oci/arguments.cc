#include "shim/oci/arguments.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::oci {

bool Options::Has(absl::string_view name) const {
  auto found = values_.find(std::string(name));
  return found != values_.end() && found->second.back() != "false";
}

std::string Options::Get(absl::string_view name, absl::string_view fallback) const {
  auto found = values_.find(std::string(name));
  return found == values_.end() ? std::string(fallback) : found->second.back();
}

std::vector<std::string> Options::All(absl::string_view name) const {
  auto found = values_.find(std::string(name));
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

absl::StatusOr<Options> ParseOptions(const std::vector<OptionSpec>& specs,
                                     const std::vector<std::string>& arguments, size_t& at) {
  Options options;
  while (at < arguments.size()) {
    const std::string& word = arguments[at];
    if (word == "--") {
      ++at;
      break;
    }
    if (word.size() < 2 || word[0] != '-') break;
    const size_t dashes = absl::StartsWith(word, "--") ? 2 : 1;
    const size_t equals = word.find('=');
    const std::string name =
        word.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    const OptionSpec* spec = nullptr;
    for (const OptionSpec& candidate : specs) {
      if (candidate.name == name || (!candidate.letter.empty() && candidate.letter == name)) {
        spec = &candidate;
      }
    }
    if (spec == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("flag provided but not defined: ", word));
    }
    ++at;
    std::string value = "true";
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (spec->kind != OptionKind::kSwitch) {
      if (at >= arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("flag needs an argument: ", word));
      }
      value = arguments[at++];
    }
    options.values_[std::string(spec->name)].push_back(std::move(value));
  }
  return options;
}

}  // namespace berth::oci
