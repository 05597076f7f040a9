#include "server/main/config_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "server/main/config_keys.h"

namespace berth {
namespace {

std::string Join(absl::string_view table, absl::string_view name) {
  return table.empty() ? std::string(name) : absl::StrCat(table, ".", name);
}

// How to say a key in a message: [table] and "key".
std::string Place(absl::string_view table) {
  return table.empty() ? "at the top level" : absl::StrCat("in [", table, "]");
}

absl::string_view ExpectedType(const ConfigField& field) {
  if (std::holds_alternative<std::string*>(field)) return "a string";
  if (std::holds_alternative<int64_t*>(field)) return "an integer";
  if (std::holds_alternative<double*>(field)) return "a number";
  if (std::holds_alternative<absl::Duration*>(field)) return "a duration such as \"100ms\"";
  return "a table of strings";
}

// True when `node` had the field's type.
bool Store(const toml::node& node, const ConfigField& field) {
  if (auto* const* text = std::get_if<std::string*>(&field)) {
    if (const auto value = node.value_exact<std::string>()) return **text = *value, true;
  } else if (auto* const* integer = std::get_if<int64_t*>(&field)) {
    if (const auto value = node.value_exact<int64_t>()) return **integer = *value, true;
  } else if (auto* const* number = std::get_if<double*>(&field)) {
    if (node.is_number()) return **number = *node.value<double>(), true;
  } else if (auto* const* duration = std::get_if<absl::Duration*>(&field)) {
    const auto value = node.value_exact<std::string>();
    return value.has_value() && absl::ParseDuration(*value, *duration);
  }
  return false;
}

class Reader {
 public:
  explicit Reader(absl::string_view file_name) : file_name_(file_name) {}

  absl::Status ReadTable(const toml::table& table, const std::string& path) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const std::string full = Join(path, name);
      const toml::table* child = node.as_table();
      if (const ConfigKey* free_table = FindKey(full, ""); child != nullptr && free_table) {
        BERTH_RETURN_IF_ERROR(ReadFreeTable(*child, *free_table));
      } else if (child != nullptr && HasKeysBelow(full)) {
        BERTH_RETURN_IF_ERROR(ReadTable(*child, full));
      } else if (const ConfigKey* known = FindKey(path, name)) {
        BERTH_RETURN_IF_ERROR(ReadValue(node, *known, full));
      } else if (const IgnoredConfigKey* ignored = FindIgnored(full)) {
        loaded_.warnings.push_back(
            absl::StrCat(At(key.source()), full, " is ignored: ", ignored->reason));
      } else {
        return Unknown(key, path);
      }
    }
    return absl::OkStatus();
  }
  LoadedConfig Take() { return std::move(loaded_); }

 private:
  std::string At(const toml::source_region& source) const {
    return absl::StrCat(file_name_, ":", source.begin.line, ":", source.begin.column, ": ");
  }
  static const ConfigKey* FindKey(absl::string_view table, absl::string_view name) {
    for (const ConfigKey& key : ConfigKeys()) {
      if (key.name != name) continue;
      if (key.table == table) return &key;
      if (!key.containerd_table.empty() && key.containerd_table == table) return &key;
    }
    return nullptr;
  }
  static bool HasKeysBelow(const std::string& table) {
    const std::string prefix = table + ".";
    return std::any_of(ConfigKeys().begin(), ConfigKeys().end(), [&](const ConfigKey& key) {
      return key.table == table || key.containerd_table == table ||
             absl::StartsWith(key.containerd_table, prefix);
    });
  }
  static const IgnoredConfigKey* FindIgnored(absl::string_view full) {
    for (const IgnoredConfigKey& ignored : IgnoredConfigKeys()) {
      if (full == ignored.path || absl::StartsWith(full, absl::StrCat(ignored.path, "."))) {
        return &ignored;
      }
    }
    return nullptr;
  }

  absl::Status ReadValue(const toml::node& node, const ConfigKey& key, const std::string& full) {
    const ConfigField field = key.field(loaded_.config);
    if (!Store(node, field)) {
      return absl::InvalidArgumentError(
          absl::StrCat(At(node.source()), full, ": expected ", ExpectedType(field)));
    }
    if (key.check == nullptr) return absl::OkStatus();
    BERTH_RETURN_IF_ERROR(key.check(loaded_.config)) << At(node.source()) << full;
    return absl::OkStatus();
  }
  // containerd prefixes an address with its transport.
  static std::string WithoutScheme(std::string address) {
    constexpr absl::string_view kScheme = "unix://";
    return absl::StartsWith(address, kScheme) ? address.substr(kScheme.size()) : address;
  }
  absl::Status ReadProxy(const toml::node& node, const std::string& full, ProxyPlugin& proxy) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(At(node.source()), full, ": expected a table with type and address"));
    }
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      const auto text = value.value_exact<std::string>();
      if (name == "type" && text.has_value()) {
        proxy.type = *text;
      } else if (name == "address" && text.has_value()) {
        proxy.address = WithoutScheme(*text);
      } else if (name == "snapshotter" && text.has_value()) {
        proxy.snapshotter = *text;
      } else if (name == "platform" || name == "exports" || name == "capabilities") {
        loaded_.warnings.push_back(absl::StrCat(At(key.source()), full, ".", name,
                                                " is ignored: it describes the plugin only"));
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat(At(key.source()), full, ".", name,
                         ": expected the strings \"type\", \"address\" and \"snapshotter\""));
      }
    }
    return absl::OkStatus();
  }
  absl::Status ReadFreeTable(const toml::table& table, const ConfigKey& key) {
    const ConfigField field = key.field(loaded_.config);
    if (auto* const* proxies = std::get_if<std::map<std::string, ProxyPlugin>*>(&field)) {
      for (const auto& [name, node] : table) {
        const std::string id(name.str());
        BERTH_RETURN_IF_ERROR(ReadProxy(node, absl::StrCat(key.table, ".", id), (**proxies)[id]));
      }
      return CheckFreeTable(table, key);
    }
    auto& map = *std::get<std::map<std::string, std::string>*>(key.field(loaded_.config));
    for (const auto& [name, node] : table) {
      const auto value = node.value_exact<std::string>();
      if (!value.has_value() || value->empty()) {
        return absl::InvalidArgumentError(absl::StrCat(At(node.source()), key.table, ".\"",
                                                       std::string(name.str()),
                                                       "\": expected a string that is not empty"));
      }
      map[std::string(name.str())] = *value;
    }
    return CheckFreeTable(table, key);
  }
  absl::Status CheckFreeTable(const toml::table& table, const ConfigKey& key) const {
    if (key.check == nullptr) return absl::OkStatus();
    BERTH_RETURN_IF_ERROR(key.check(loaded_.config)) << At(table.source()) << key.table;
    return absl::OkStatus();
  }
  absl::Status Unknown(const toml::key& key, const std::string& path) const {
    std::vector<absl::string_view> expected;
    for (const ConfigKey& known : ConfigKeys()) {
      if (known.table == path || (!path.empty() && known.containerd_table == path)) {
        expected.push_back(known.name.empty() ? known.table : known.name);
      } else if (path.empty() &&
                 std::find(expected.begin(), expected.end(), known.table) == expected.end()) {
        expected.push_back(known.table);
      }
    }
    return absl::InvalidArgumentError(
        absl::StrCat(At(key.source()), "unknown key \"", std::string(key.str()), "\" ", Place(path),
                     ": expected one of ", absl::StrJoin(expected, ", ")));
  }

  const absl::string_view file_name_;
  LoadedConfig loaded_;
};

}  // namespace

absl::StatusOr<LoadedConfig> ParseConfig(absl::string_view text, absl::string_view file_name) {
  try {
    const toml::table table = toml::parse(std::string(text), std::string(file_name));
    Reader reader(file_name);
    BERTH_RETURN_IF_ERROR(reader.ReadTable(table, ""));
    return reader.Take();
  } catch (const toml::parse_error& error) {  // the library's only way to say it
    return absl::InvalidArgumentError(absl::StrCat(file_name, ":", error.source().begin.line, ":",
                                                   error.source().begin.column, ": ",
                                                   std::string(error.description())));
  }
}

absl::StatusOr<LoadedConfig> LoadConfig(absl::string_view path) {
  constexpr size_t kMaxConfigBytes = 1 << 20;
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes),
                         _ << "read the configuration");
  return ParseConfig(text, path);
}

absl::Status CheckConfig(const Config& config) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.check == nullptr) continue;
    BERTH_RETURN_IF_ERROR(key.check(config)) << Join(key.table, key.name);
  }
  return absl::OkStatus();
}

}  // namespace berth
