#include "client/format/template_value.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::client {
namespace {

// Go's %v: the shortest form that reads back as the same number.
std::string PrintReal(double value) {
  char text[64];
  for (int precision = 1; precision <= 17; ++precision) {
    std::snprintf(text, sizeof(text), "%.*g", precision, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  // C changes to the exponent earlier than Go does.
  const double magnitude = std::fabs(value);
  if (magnitude >= 1e-4 && magnitude < 1e21 && std::string(text).find('e') != std::string::npos) {
    return absl::StrFormat("%.0f", value);
  }
  return text;
}

void Append(std::string& out, const Json& value) {
  if (out.size() > kMaxTemplateTextBytes) return;
  if (value.is_string()) {
    out += value.get_ref<const std::string&>();
  } else if (value.is_null()) {
    out += "<nil>";
  } else if (value.is_array()) {
    out += "[";
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += " ";
      Append(out, value[i]);
    }
    out += "]";
  } else if (value.is_object()) {
    std::map<std::string, const Json*> sorted;
    for (auto it = value.begin(); it != value.end(); ++it) sorted[it.key()] = &it.value();
    out += "map[";
    for (const auto& [key, member] : sorted) {
      absl::StrAppend(&out, out.back() == '[' ? "" : " ", key, ":");
      Append(out, *member);
    }
    out += "]";
  } else if (value.is_number_float()) {
    out += PrintReal(value.get<double>());
  } else {
    out += value.dump();
  }
}

}  // namespace

std::string PrintValue(const Json& value) {
  if (value.is_null()) return "<no value>";
  std::string text;
  Append(text, value);
  return text;
}

bool IsTrue(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();  // null, too, is empty
}

}  // namespace berth::client
