#include "client/format/template_printf.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format/template_value.h"

namespace berth::client {
namespace {

constexpr int kMaxWidth = 4096;  // a format must not fill the memory

struct Verb {
  bool is_left = false;
  bool has_plus = false;
  bool has_zero = false;
  bool has_space = false;
  bool has_hash = false;
  int width = 0;
  int precision = -1;
  char letter = 'v';
};

const char* TypeName(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "bool";
  if (value.is_number_float()) return "float64";
  if (value.is_number()) return "int64";
  if (value.is_array()) return "[]interface {}";
  if (value.is_object()) return "map[string]interface {}";
  return "<nil>";
}

size_t Runes(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Pad(const Verb& verb, std::string text, bool is_number) {
  const size_t width = static_cast<size_t>(verb.width);
  const size_t runes = Runes(text);
  if (runes >= width) return text;
  const size_t gap = width - runes;
  if (verb.is_left) return text + std::string(gap, ' ');
  if (verb.has_zero && is_number) {
    const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    return text.insert(sign, gap, '0');
  }
  return std::string(gap, ' ') + text;
}

std::string Mismatch(const Verb& verb, const Json& value) {
  return absl::StrCat("%!", absl::string_view(&verb.letter, 1), "(", TypeName(value), "=",
                      PrintValue(value), ")");
}

std::string Hex(absl::string_view bytes, bool is_upper) {
  std::string text;
  for (const char byte : bytes) {
    // Two constant formats: Abseil checks them when this is compiled.
    if (is_upper) {
      absl::StrAppendFormat(&text, "%02X", static_cast<unsigned char>(byte));
    } else {
      absl::StrAppendFormat(&text, "%02x", static_cast<unsigned char>(byte));
    }
  }
  return text;
}

std::string Integer(const Verb& verb, const Json& value) {
  const bool is_negative = !value.is_number_unsigned() && value.get<int64_t>() < 0;
  const uint64_t magnitude = is_negative ? uint64_t{0} - static_cast<uint64_t>(value.get<int64_t>())
                                         : value.get<uint64_t>();
  std::string digits;
  switch (verb.letter) {
    case 'x':
      digits = absl::StrCat(verb.has_hash ? "0x" : "", absl::StrFormat("%x", magnitude));
      break;
    case 'X':
      digits = absl::StrCat(verb.has_hash ? "0X" : "", absl::StrFormat("%X", magnitude));
      break;
    case 'o':
      digits = absl::StrCat(verb.has_hash ? "0" : "", absl::StrFormat("%o", magnitude));
      break;
    case 'b':
      for (uint64_t rest = magnitude; rest != 0; rest >>= 1) {
        digits.insert(digits.begin(), (rest & 1) != 0 ? '1' : '0');
      }
      if (digits.empty()) digits = "0";
      break;
    default:
      digits = absl::StrCat(magnitude);
  }
  const char* sign = is_negative ? "-" : verb.has_plus ? "+" : verb.has_space ? " " : "";
  return Pad(verb, absl::StrCat(sign, digits), true);
}

std::string Real(const Verb& verb, double value) {
  const int precision = verb.precision < 0 ? 6 : std::min(verb.precision, 100);
  char text[512];
  if (verb.letter == 'e') {
    std::snprintf(text, sizeof(text), "%.*e", precision, value);
  } else if (verb.letter == 'g' && verb.precision >= 0) {
    std::snprintf(text, sizeof(text), "%.*g", precision, value);
  } else if (verb.letter == 'g') {
    std::snprintf(text, sizeof(text), "%s", PrintValue(Json(value)).c_str());
  } else {
    std::snprintf(text, sizeof(text), "%.*f", precision, value);
  }
  return Pad(verb, absl::StrCat(verb.has_plus && value >= 0 ? "+" : "", text), true);
}

std::string Text(const Verb& verb, std::string text) {
  if (verb.precision >= 0) {
    size_t bytes = 0;
    for (size_t shown = 0; bytes < text.size(); ++bytes) {
      if ((text[bytes] & 0xc0) != 0x80 && shown++ == static_cast<size_t>(verb.precision)) break;
    }
    text.resize(bytes);
  }
  return Pad(verb, std::move(text), false);
}

std::string FormatOne(const Verb& verb, const Json& value) {
  switch (verb.letter) {
    case 'v':
      return value.is_number_integer() ? Integer(verb, value) : Text(verb, PrintValue(value));
    case 's':
      if (value.is_number() || value.is_boolean()) return Mismatch(verb, value);
      return Text(verb, PrintValue(value));
    case 'q':
      if (!value.is_string()) return Mismatch(verb, value);
      return Pad(verb, Quote(value.get<std::string>()), false);
    case 't':
      return value.is_boolean() ? Text(verb, PrintValue(value)) : Mismatch(verb, value);
    case 'T':
      return Text(verb, TypeName(value));
    case 'x':
    case 'X':
      if (value.is_string()) {
        return Pad(verb, Hex(value.get<std::string>(), verb.letter == 'X'), false);
      }
      return value.is_number_integer() ? Integer(verb, value) : Mismatch(verb, value);
    case 'd':
    case 'o':
    case 'b':
      return value.is_number_integer() ? Integer(verb, value) : Mismatch(verb, value);
    case 'c':
      if (value.is_number_integer() && value.get<int64_t>() > 0 && value.get<int64_t>() < 128) {
        return Pad(verb, std::string(1, static_cast<char>(value.get<int64_t>())), false);
      }
      return Mismatch(verb, value);
    case 'e':
    case 'f':
    case 'F':
    case 'g':
      return value.is_number_float() ? Real(verb, value.get<double>()) : Mismatch(verb, value);
    default:
      return Mismatch(verb, value);
  }
}

// A number that stands in the format, or a * that takes it from the values.
int TakeNumber(absl::string_view format, size_t& at, const std::vector<Json>& values,
               size_t& next) {
  if (at < format.size() && format[at] == '*') {
    ++at;
    if (next >= values.size()) return 0;
    const Json& value = values[next++];
    return value.is_number_integer()
               ? static_cast<int>(std::clamp<int64_t>(value.get<int64_t>(), 0, kMaxWidth))
               : 0;
  }
  int number = 0;
  while (at < format.size() && absl::ascii_isdigit(format[at])) {
    number = std::min(number * 10 + (format[at++] - '0'), kMaxWidth);
  }
  return number;
}

}  // namespace

std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr absl::string_view kBytes = "\a\b\f\n\r\t\v\\\"";
    constexpr absl::string_view kLetters = "abfnrtv\\\"";
    const size_t found = c == '\0' ? absl::string_view::npos : kBytes.find(c);
    if (found != absl::string_view::npos) {
      out.push_back('\\');
      out.push_back(kLetters[found]);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

std::string FormatValues(absl::string_view format, const std::vector<Json>& values) {
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at++];
    if (c != '%') {
      out.push_back(c);
      continue;
    }
    Verb verb;
    for (bool is_flag = true; is_flag && at < format.size();) {
      switch (format[at]) {
        case '-':
          verb.is_left = true;
          break;
        case '+':
          verb.has_plus = true;
          break;
        case '0':
          verb.has_zero = true;
          break;
        case ' ':
          verb.has_space = true;
          break;
        case '#':
          verb.has_hash = true;
          break;
        default:
          is_flag = false;
      }
      if (is_flag) ++at;
    }
    verb.width = TakeNumber(format, at, values, next);
    if (at < format.size() && format[at] == '.') {
      ++at;
      verb.precision = TakeNumber(format, at, values, next);
    }
    if (at >= format.size()) {
      out += "%!(NOVERB)";
      break;
    }
    verb.letter = format[at++];
    if (verb.letter == '%') {
      out.push_back('%');
    } else if (next >= values.size()) {
      absl::StrAppend(&out, "%!", absl::string_view(&verb.letter, 1), "(MISSING)");
    } else {
      out += FormatOne(verb, values[next++]);
    }
  }
  if (next < values.size()) {
    out += "%!(EXTRA ";
    for (size_t i = next; i < values.size(); ++i) {
      absl::StrAppend(&out, i == next ? "" : ", ", TypeName(values[i]), "=", PrintValue(values[i]));
    }
    out += ")";
  }
  return out;
}

}  // namespace berth::client
