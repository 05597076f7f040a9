#include "shim/cgroup/dbus_message.h"

#include <cstring>

#include "absl/status/status.h"

namespace berth::cgroup {
namespace {

constexpr size_t kFixedHeader = 16;
constexpr size_t kLargestMessage = 1u << 20;
constexpr uint8_t kMethodCall = 1;
constexpr uint8_t kError = 3;
// Header fields.
constexpr uint8_t kPath = 1;
constexpr uint8_t kInterface = 2;
constexpr uint8_t kMember = 3;
constexpr uint8_t kErrorName = 4;
constexpr uint8_t kReplySerial = 5;
constexpr uint8_t kDestination = 6;
constexpr uint8_t kSignature = 8;

size_t Aligned(size_t at, size_t alignment) { return (at + alignment - 1) / alignment * alignment; }

void AppendUint32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

uint32_t ReadUint32(absl::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  }
  return value;
}

// A header field: (code, variant), with a string, object path or signature in it.
void AppendField(std::string& out, uint8_t code, char type, absl::string_view value) {
  if (value.empty()) return;
  out.resize(Aligned(out.size(), 8), '\0');
  out += static_cast<char>(code);
  out += '\1';
  out += type;
  out += '\0';
  if (type == 'g') {
    out += static_cast<char>(value.size());
  } else {
    out.resize(Aligned(out.size(), 4), '\0');
    AppendUint32(out, static_cast<uint32_t>(value.size()));
  }
  out.append(value.data(), value.size());
  out += '\0';
}

// A string at `at`, which is moved behind it; false when it is not inside `bytes`.
bool ReadString(absl::string_view bytes, size_t& at, absl::string_view& out) {
  at = Aligned(at, 4);
  if (at + 4 > bytes.size()) return false;
  const size_t size = ReadUint32(bytes, at);
  if (size >= bytes.size() || at + 4 + size + 1 > bytes.size()) return false;
  out = bytes.substr(at + 4, size);
  at += 4 + size + 1;
  return true;
}

// The header fields in bytes [kFixedHeader, end).
bool ReadFields(absl::string_view bytes, size_t end, DbusAnswer& out) {
  const absl::string_view header = bytes.substr(0, end);
  size_t at = kFixedHeader;
  while (at < end) {
    at = Aligned(at, 8);
    if (at + 4 > end) return false;
    const uint8_t code = static_cast<uint8_t>(header[at]);
    const uint8_t signature_size = static_cast<uint8_t>(header[at + 1]);
    const char type = header[at + 2];
    if (signature_size != 1) return false;
    at += 4;
    absl::string_view text;
    if (type == 's' || type == 'o') {
      if (!ReadString(header, at, text)) return false;
      if (code == kErrorName) out.error_name = std::string(text);
    } else if (type == 'u') {
      at = Aligned(at, 4);
      if (at + 4 > end) return false;
      if (code == kReplySerial) out.reply_to = ReadUint32(header, at);
      at += 4;
    } else if (type == 'g') {
      if (at >= end) return false;
      at += 1 + static_cast<uint8_t>(header[at]) + 1;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

void DbusBody::Align(size_t alignment) { bytes_.resize(Aligned(bytes_.size(), alignment), '\0'); }

DbusBody& DbusBody::String(absl::string_view value) {
  Uint32(static_cast<uint32_t>(value.size()));
  bytes_.append(value.data(), value.size());
  bytes_ += '\0';
  return *this;
}

DbusBody& DbusBody::Uint32(uint32_t value) {
  Align(4);
  AppendUint32(bytes_, value);
  return *this;
}

size_t DbusBody::BeginArray(size_t alignment) {
  Uint32(0);
  const size_t begin = bytes_.size();
  Align(alignment);
  return begin;
}

// The length does not count the padding in front of the first element.
void DbusBody::EndArray(size_t begin, size_t alignment) {
  const size_t size = bytes_.size() - Aligned(begin, alignment);
  std::string length;
  AppendUint32(length, static_cast<uint32_t>(size));
  bytes_.replace(begin - 4, 4, length);
}

DbusBody& DbusBody::BeginProperty(absl::string_view name, absl::string_view signature) {
  Align(8);
  String(name);
  bytes_ += static_cast<char>(signature.size());
  bytes_.append(signature.data(), signature.size());
  bytes_ += '\0';
  return *this;
}

DbusBody& DbusBody::StringProperty(absl::string_view name, absl::string_view value) {
  return BeginProperty(name, "s").String(value);
}

DbusBody& DbusBody::BooleanProperty(absl::string_view name, uint32_t value) {
  return BeginProperty(name, "b").Uint32(value);
}

DbusBody& DbusBody::NumberProperty(absl::string_view name, uint64_t value) {
  BeginProperty(name, "t");
  Align(8);
  AppendUint32(bytes_, static_cast<uint32_t>(value));
  AppendUint32(bytes_, static_cast<uint32_t>(value >> 32));
  return *this;
}

DbusBody& DbusBody::PidsProperty(absl::string_view name, uint32_t pid) {
  BeginProperty(name, "au");
  const size_t begin = BeginArray(4);
  Uint32(pid);
  EndArray(begin, 4);
  return *this;
}

std::string EncodeCall(const DbusCall& call) {
  std::string fields;
  // The fields start at offset 16, so that alignment by 8 holds in their own counting too.
  AppendField(fields, kPath, 'o', call.path);
  AppendField(fields, kInterface, 's', call.interface);
  AppendField(fields, kMember, 's', call.member);
  AppendField(fields, kDestination, 's', call.destination);
  AppendField(fields, kSignature, 'g', call.signature);
  std::string out = {'l', static_cast<char>(kMethodCall), 0, 1};
  AppendUint32(out, static_cast<uint32_t>(call.body.size()));
  AppendUint32(out, call.serial);
  AppendUint32(out, static_cast<uint32_t>(fields.size()));
  out += fields;
  out.resize(Aligned(out.size(), 8), '\0');
  return out + call.body;
}

absl::StatusOr<size_t> DecodeAnswer(absl::string_view bytes, DbusAnswer& out) {
  if (bytes.size() < kFixedHeader) return 0;
  if (bytes[0] != 'l' || bytes[3] != 1) return absl::DataLossError("no D-Bus message");
  const size_t body_size = ReadUint32(bytes, 4);
  const size_t fields_size = ReadUint32(bytes, 12);
  if (body_size > kLargestMessage || fields_size > kLargestMessage) {
    return absl::DataLossError("a D-Bus message of impossible size");
  }
  const size_t fields_end = kFixedHeader + fields_size;
  const size_t body = Aligned(fields_end, 8);
  if (bytes.size() < body + body_size) return 0;
  if (!ReadFields(bytes, fields_end, out)) return absl::DataLossError("a broken D-Bus header");
  out.is_error = static_cast<uint8_t>(bytes[1]) == kError;
  if (out.is_error && body_size > 0) {
    size_t at = 0;
    absl::string_view text;
    if (ReadString(bytes.substr(body, body_size), at, text)) out.text = std::string(text);
  }
  return body + body_size;
}

}  // namespace berth::cgroup
