#include "base/log/log_line.h"

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

// The length of the valid UTF-8 sequence at the start of `text`, 0 where there is none.
size_t Utf8SequenceLength(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80             ? 1
                        : (lead & 0xE0) == 0xC0 ? 2
                        : (lead & 0xF0) == 0xE0 ? 3
                        : (lead & 0xF8) == 0xF0 ? 4
                                                : 0;
  if (length == 0 || length > text.size() || lead == 0xC0 || lead == 0xC1 || lead > 0xF4) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// JSON's string syntax, which is also a quoting that people can read in the text format.
void AppendQuoted(absl::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const char c = text[0];
    const size_t length = Utf8SequenceLength(text);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned char>(c));
      out += escape;
    } else if (length == 0) {
      out += "\\ufffd";
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

bool IsPlainWord(absl::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        !absl::StrContains("-._:@+^", absl::string_view(&c, 1))) {
      return false;
    }
  }
  return true;
}

std::string Timestamp(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

}  // namespace

std::string TextLogLine(absl::Time time, LogLevel level, absl::string_view message,
                        std::initializer_list<LogField> fields) {
  std::string line =
      absl::StrCat("time=\"", Timestamp(time), "\" level=", LogLevelName(level), " msg=");
  AppendQuoted(message, line);
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key(), "=");
    if (IsPlainWord(field.text())) {
      line += field.text();
    } else {
      AppendQuoted(field.text(), line);
    }
  }
  return line;
}

std::string JsonLogLine(absl::Time time, LogLevel level, absl::string_view message,
                        std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat("{\"time\":\"", Timestamp(time), "\",\"level\":\"",
                                  LogLevelName(level), "\",\"msg\":");
  AppendQuoted(message, line);
  for (const LogField& field : fields) {
    line += ',';
    AppendQuoted(field.key(), line);
    line += ':';
    if (field.is_number()) {
      line += field.text();
    } else {
      AppendQuoted(field.text(), line);
    }
  }
  line += '}';
  return line;
}

}  // namespace berth
