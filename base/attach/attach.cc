#include "base/attach/attach.h"

#include "absl/strings/str_cat.h"

namespace berth::attach {
namespace {

constexpr char kMagic[] = {'B', 'A', 'T', 'T'};
constexpr char kVersion = 1;
enum Flag : uint8_t { kInputFlag = 1, kOutputFlag = 2, kErrorFlag = 4, kLosslessFlag = 8 };
constexpr uint8_t kAllFlags = kInputFlag | kOutputFlag | kErrorFlag | kLosslessFlag;

uint32_t ReadBigEndian(absl::string_view bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

void AppendBigEndian(uint64_t value, size_t count, std::string& out) {
  for (size_t i = count; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
}

}  // namespace

absl::StatusOr<std::string> EncodeHello(const Hello& hello) {
  if (hello.exec_id.size() > kMaxExecIdBytes) {
    return absl::InvalidArgumentError("the exec id is too long to attach by");
  }
  std::string out(kMagic, sizeof(kMagic));
  out.push_back(kVersion);
  uint8_t flags = 0;
  if (hello.input) flags |= kInputFlag;
  if (hello.output) flags |= kOutputFlag;
  if (hello.error_output) flags |= kErrorFlag;
  if (hello.lossless) flags |= kLosslessFlag;
  out.push_back(static_cast<char>(flags));
  AppendBigEndian(hello.exec_id.size(), 2, out);
  return absl::StrCat(out, hello.exec_id);
}

absl::StatusOr<std::optional<Hello>> TakeHello(std::string& bytes) {
  const size_t comparable = bytes.size() < sizeof(kMagic) ? bytes.size() : sizeof(kMagic);
  if (bytes.compare(0, comparable, kMagic, comparable) != 0) {
    return absl::InvalidArgumentError("this is the attach socket, and what came is no hello");
  }
  if (bytes.size() < kHelloBytes) return std::nullopt;
  if (bytes[4] != kVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("attach version ", static_cast<int>(bytes[4]), " is not known here"));
  }
  const uint8_t flags = bytes[5];
  if ((flags & ~kAllFlags) != 0) return absl::InvalidArgumentError("unknown flags in the hello");
  const size_t length = ReadBigEndian(bytes, 6, 2);
  if (length > kMaxExecIdBytes) return absl::InvalidArgumentError("the exec id is too long");
  if (bytes.size() < kHelloBytes + length) return std::nullopt;
  Hello hello;
  hello.exec_id = bytes.substr(kHelloBytes, length);
  hello.input = (flags & kInputFlag) != 0;
  hello.output = (flags & kOutputFlag) != 0;
  hello.error_output = (flags & kErrorFlag) != 0;
  hello.lossless = (flags & kLosslessFlag) != 0;
  bytes.erase(0, kHelloBytes + length);
  return hello;
}

std::string EncodeFrame(FrameType type, absl::string_view payload) {
  std::string out(1, static_cast<char>(type));
  out.append(3, '\0');
  AppendBigEndian(payload.size(), 4, out);
  out.append(payload.data(), payload.size());
  return out;
}

std::string EncodeDropped(uint64_t bytes) {
  std::string payload;
  AppendBigEndian(bytes, 8, payload);
  return EncodeFrame(FrameType::kDropped, payload);
}

absl::StatusOr<std::optional<FrameReader::Frame>> FrameReader::Next() {
  const absl::string_view rest = absl::string_view(buffer_).substr(begin_);
  if (rest.size() < kFrameHeaderBytes) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    return std::nullopt;
  }
  const uint8_t type = rest[0];
  const size_t size = ReadBigEndian(rest, 4, 4);
  if (type > static_cast<uint8_t>(FrameType::kEnded) || size > kMaxPayloadBytes) {
    return absl::DataLossError("malformed frame on the attach socket");
  }
  if (rest.size() < kFrameHeaderBytes + size) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    return std::nullopt;
  }
  Frame frame;
  frame.type = static_cast<FrameType>(type);
  frame.payload = std::string(rest.substr(kFrameHeaderBytes, size));
  begin_ += kFrameHeaderBytes + size;
  return frame;
}

absl::StatusOr<uint64_t> DecodeDropped(absl::string_view payload) {
  if (payload.size() != 8) return absl::DataLossError("malformed count on the attach socket");
  return uint64_t{ReadBigEndian(payload, 0, 4)} << 32 | ReadBigEndian(payload, 4, 4);
}

}  // namespace berth::attach
