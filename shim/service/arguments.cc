#include "shim/service/arguments.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth::service {
namespace {

constexpr absl::string_view kUsage =
    "usage: berth-shim [-namespace NS] [-id ID] [-address SOCKET] [-bundle DIR] [-debug] "
    "[start|delete], or -v, or -info";

absl::Status Wrong(absl::string_view what, absl::string_view word) {
  return absl::InvalidArgumentError(absl::StrCat(what, " \"", word, "\"; ", kUsage));
}

// The field that a flag with a value sets; null for an unknown one. `ignored` takes what the shim
// has no use for.
std::string* ValueField(Arguments& arguments, absl::string_view name, std::string& ignored) {
  if (name == "namespace") return &arguments.namespace_name;
  if (name == "id") return &arguments.id;
  if (name == "address") return &arguments.address;
  if (name == "bundle") return &arguments.bundle;
  if (name == "publish-binary" || name == "socket") return &ignored;
  return nullptr;
}

int* StateField(Arguments& arguments, absl::string_view name) {
  if (name == "upgrade-take") return &arguments.take_state;
  if (name == "upgrade-check") return &arguments.check_state;
  return nullptr;
}

absl::Status CheckComplete(const Arguments& arguments) {
  if (arguments.command == Command::kVersion || arguments.command == Command::kInfo) {
    return absl::OkStatus();
  }
  if (arguments.namespace_name.empty()) return Wrong("missing flag", "-namespace");
  if (arguments.id.empty()) return Wrong("missing flag", "-id");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& words) {
  Arguments arguments;
  std::string ignored;
  for (size_t i = 0; i < words.size(); ++i) {
    absl::string_view word = words[i];
    if (word == "start" || word == "delete") {
      arguments.command = word == "start" ? Command::kStart : Command::kDelete;
      continue;
    }
    if (word.size() < 2 || word[0] != '-') return Wrong("unknown command", word);
    word.remove_prefix(word[1] == '-' ? 2 : 1);
    std::optional<absl::string_view> value;
    if (const size_t equals = word.find('='); equals != absl::string_view::npos) {
      value = word.substr(equals + 1);
      word = word.substr(0, equals);
    }
    if (word == "debug") {
      arguments.debug = !value.has_value() || *value != "false";
    } else if (word == "v" || word == "version") {
      arguments.command = Command::kVersion;
    } else if (word == "info") {
      arguments.command = Command::kInfo;
    } else if (std::string* field = ValueField(arguments, word, ignored); field != nullptr) {
      if (!value.has_value() && i + 1 == words.size()) return Wrong("missing value of", words[i]);
      *field = value.has_value() ? std::string(*value) : words[++i];
    } else if (int* state = StateField(arguments, word); state != nullptr) {
      if (!value.has_value() && i + 1 < words.size()) value = words[++i];
      if (!value.has_value() || !absl::SimpleAtoi(*value, state) || *state < 3) {
        return Wrong("not the number of a descriptor:", value.value_or(""));
      }
    } else {
      return Wrong("unknown flag", words[i]);
    }
  }
  if (absl::Status status = CheckComplete(arguments); !status.ok()) return status;
  return arguments;
}

}  // namespace berth::service
