#include "shim/io/log_format.h"

#include <cstdint>
#include <cstdio>

namespace berth::io {
namespace {

// `value` in exactly `digits` decimal digits.
void PutDigits(long value, int digits, char* out) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// RFC 3339 with nanoseconds, in UTC. A busy container logs many records a second: no snprintf.
void AppendTime(const struct timespec& time, std::string& out) {
  struct tm parts = {};
  ::gmtime_r(&time.tv_sec, &parts);
  char text[] = "0000-00-00T00:00:00.000000000Z";
  PutDigits(parts.tm_year + 1900, 4, text);
  PutDigits(parts.tm_mon + 1, 2, text + 5);
  PutDigits(parts.tm_mday, 2, text + 8);
  PutDigits(parts.tm_hour, 2, text + 11);
  PutDigits(parts.tm_min, 2, text + 14);
  PutDigits(parts.tm_sec, 2, text + 17);
  PutDigits(time.tv_nsec, 9, text + 20);
  out.append(text, sizeof(text) - 1);
}

const char* Name(LogStream stream) { return stream == LogStream::kOut ? "stdout" : "stderr"; }

// The length of the UTF-8 character that begins `text`, 0 where none does.
size_t CharacterLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  size_t length = 0;
  uint8_t low = 0x80, high = 0xbf;  // of the second byte: no overlong form, surrogate or too large
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  }
  if (length == 0 || text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

void AppendEscaped(unsigned code, std::string& out) {
  char text[8];
  out.append(text, std::snprintf(text, sizeof(text), "\\u%04x", code));
}

bool StandsForItself(uint8_t c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

// What Go's encoder escapes is escaped here too: readers compare the bytes of Docker's own logs.
void AppendJsonText(absl::string_view text, std::string& out) {
  size_t i = 0;
  while (i < text.size()) {
    size_t plain = i;
    while (plain < text.size() && StandsForItself(static_cast<uint8_t>(text[plain]))) ++plain;
    out.append(text.data() + i, plain - i);
    i = plain;
    if (i == text.size()) return;
    const auto c = static_cast<uint8_t>(text[i]);
    if (c >= 0x80) {
      const size_t length = CharacterLength(text.substr(i));
      const absl::string_view character = text.substr(i, length);
      if (length == 0) {
        out += "\\ufffd";
      } else if (character == "\xe2\x80\xa8") {  // U+2028 and U+2029 end a line in JavaScript
        out += "\\u2028";
      } else if (character == "\xe2\x80\xa9") {
        out += "\\u2029";
      } else {
        out.append(character.data(), character.size());
      }
      i += length == 0 ? 1 : length;
      continue;
    }
    ++i;
    switch (c) {
      case '"':
      case '\\':
        out.push_back('\\');
        out.push_back(static_cast<char>(c));
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        AppendEscaped(c, out);
    }
  }
}

}  // namespace

void AppendJsonRecord(LogStream stream, absl::string_view text, const struct timespec& time,
                      std::string& out) {
  out += "{\"log\":\"";
  AppendJsonText(text, out);
  out += "\",\"stream\":\"";
  out += Name(stream);
  out += "\",\"time\":\"";
  AppendTime(time, out);
  out += "\"}\n";
}

void AppendCriRecord(LogStream stream, absl::string_view text, const struct timespec& time,
                     std::string& out) {
  const bool whole = !text.empty() && text.back() == '\n';
  AppendTime(time, out);
  out.push_back(' ');
  out += Name(stream);
  out += whole ? " F " : " P ";
  out.append(text.data(), text.size());
  if (!whole) out.push_back('\n');
}

}  // namespace berth::io
