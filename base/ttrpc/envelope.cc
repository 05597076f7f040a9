#include "base/ttrpc/envelope.h"

#include <optional>

#include "absl/strings/str_cat.h"

namespace berth::ttrpc {
namespace {

// Wire types of protocol buffers.
enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void AppendVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void AppendBytes(std::string& out, int field, absl::string_view value) {
  AppendVarint(out, field << 3 | kBytes);
  AppendVarint(out, value.size());
  out.append(value.data(), value.size());
}

// Fields with the default value are not written, as proto3 has it.
void AppendNonEmpty(std::string& out, int field, absl::string_view value) {
  if (!value.empty()) AppendBytes(out, field, value);
}

void AppendNonZero(std::string& out, int field, uint64_t value) {
  if (value == 0) return;
  AppendVarint(out, field << 3 | kVarint);
  AppendVarint(out, value);
}

std::optional<uint64_t> TakeVarint(absl::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const uint8_t byte = static_cast<uint8_t>(bytes[0]);
    bytes.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

struct Field {
  uint64_t number = 0;
  uint64_t varint = 0;      // of a varint
  absl::string_view bytes;  // of a length-delimited field
};

// Takes the next field; nullopt where the bytes are malformed.
std::optional<Field> TakeField(absl::string_view& bytes) {
  const auto tag = TakeVarint(bytes);
  if (!tag.has_value() || (*tag >> 3) == 0) return std::nullopt;
  Field field;
  field.number = *tag >> 3;
  uint64_t size = 0;
  switch (*tag & 7) {
    case kVarint: {
      const auto value = TakeVarint(bytes);
      if (!value.has_value()) return std::nullopt;
      field.varint = *value;
      return field;
    }
    case kBytes: {
      const auto length = TakeVarint(bytes);
      if (!length.has_value()) return std::nullopt;
      size = *length;
      break;
    }
    case kFixed64:
      size = 8;
      break;
    case kFixed32:
      size = 4;
      break;
    default:  // groups do not occur in proto3
      return std::nullopt;
  }
  if (size > bytes.size()) return std::nullopt;
  field.bytes = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return field;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed ttrpc ", what));
}

}  // namespace

std::string EncodeRequest(const Request& request) {
  std::string out;
  AppendNonEmpty(out, 1, request.service);
  AppendNonEmpty(out, 2, request.method);
  AppendNonEmpty(out, 3, request.payload);
  AppendNonZero(out, 4, static_cast<uint64_t>(request.timeout_ns));
  for (const auto& [key, value] : request.metadata) {
    std::string pair;
    AppendNonEmpty(pair, 1, key);
    AppendNonEmpty(pair, 2, value);
    AppendBytes(out, 5, pair);
  }
  return out;
}

absl::StatusOr<Request> DecodeRequest(absl::string_view bytes) {
  Request request;
  while (!bytes.empty()) {
    const auto field = TakeField(bytes);
    if (!field.has_value()) return Malformed("request");
    switch (field->number) {
      case 1:
        request.service = std::string(field->bytes);
        break;
      case 2:
        request.method = std::string(field->bytes);
        break;
      case 3:
        request.payload = std::string(field->bytes);
        break;
      case 4:
        request.timeout_ns = static_cast<int64_t>(field->varint);
        break;
      case 5: {
        absl::string_view pair = field->bytes;
        auto& [key, value] = request.metadata.emplace_back();
        while (!pair.empty()) {
          const auto part = TakeField(pair);
          if (!part.has_value()) return Malformed("metadata");
          if (part->number == 1) key = std::string(part->bytes);
          if (part->number == 2) value = std::string(part->bytes);
        }
        break;
      }
      default:
        break;
    }
  }
  return request;
}

std::string EncodeResponse(const absl::StatusOr<std::string>& result) {
  std::string out;
  if (result.ok()) {
    // An empty status message is what the Go peers send on success; an absent one means the same.
    AppendNonEmpty(out, 2, *result);
    return out;
  }
  std::string status;
  AppendNonZero(status, 1, static_cast<uint64_t>(result.status().code()));
  AppendNonEmpty(status, 2, result.status().message());
  AppendBytes(out, 1, status);
  return out;
}

absl::StatusOr<std::string> DecodeResponse(absl::string_view bytes) {
  std::string payload;
  uint64_t code = 0;
  std::string message;
  while (!bytes.empty()) {
    const auto field = TakeField(bytes);
    if (!field.has_value()) return Malformed("response");
    if (field->number == 2) payload = std::string(field->bytes);
    if (field->number != 1) continue;
    absl::string_view status = field->bytes;
    while (!status.empty()) {
      const auto part = TakeField(status);
      if (!part.has_value()) return Malformed("status");
      if (part->number == 1) code = part->varint;
      if (part->number == 2) message = std::string(part->bytes);
    }
  }
  if (code == 0) return payload;
  // Abseil's codes are those of gRPC; a number that is none of them reads as UNKNOWN.
  const bool known = code <= static_cast<uint64_t>(absl::StatusCode::kUnauthenticated);
  return absl::Status(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                      message);
}

}  // namespace berth::ttrpc
