#include "server/main/config_text.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/main/config_keys.h"

namespace berth {
namespace {

std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04X", static_cast<unsigned char>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

// TOML tells 1 from 1.0, and this key wants the second.
std::string Number(double value) {
  std::string text = absl::StrCat(value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

void AppendKey(absl::string_view name, const ConfigField& field, std::string& out) {
  if (auto* const* map = std::get_if<std::map<std::string, std::string>*>(&field)) {
    for (const auto& [key, value] : **map) {
      absl::StrAppend(&out, Quoted(key), " = ", Quoted(value), "\n");
    }
    return;
  }
  if (auto* const* proxies = std::get_if<std::map<std::string, ProxyPlugin>*>(&field)) {
    for (const auto& [id, proxy] : **proxies) {
      absl::StrAppend(&out, Quoted(id), " = { type = ", Quoted(proxy.type),
                      ", address = ", Quoted(proxy.address),
                      ", snapshotter = ", Quoted(proxy.snapshotter), " }\n");
    }
    return;
  }
  // A dot in a bare key would open a table.
  const bool dotted = name.find('.') != absl::string_view::npos;
  absl::StrAppend(&out, dotted ? Quoted(name) : std::string(name), " = ");
  if (auto* const* text = std::get_if<std::string*>(&field)) out += Quoted(**text);
  if (auto* const* integer = std::get_if<int64_t*>(&field)) absl::StrAppend(&out, **integer);
  if (auto* const* number = std::get_if<double*>(&field)) out += Number(**number);
  if (auto* const* duration = std::get_if<absl::Duration*>(&field)) {
    const std::string text = absl::FormatDuration(**duration);
    out += Quoted(text == "0" ? "0s" : text);
  }
  out += "\n";
}

}  // namespace

std::string ConfigText(Config config) {
  std::string out;
  absl::string_view table;
  for (const ConfigKey& key : ConfigKeys()) {
    if (!out.empty()) out += "\n";
    if (key.table != table) {
      table = key.table;
      absl::StrAppend(&out, "[", table, "]\n");
    }
    for (const absl::string_view line : absl::StrSplit(key.documentation, '\n')) {
      absl::StrAppend(&out, "# ", line, "\n");
    }
    AppendKey(key.name, key.field(config), out);
  }
  return out;
}

}  // namespace berth
