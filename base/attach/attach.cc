#include "base/attach/attach.h"

#include "absl/strings/str_cat.h"

namespace berth::attach {
namespace {

constexpr char kMagic[] = {'B', 'A', 'T', 'T'};
constexpr char kVersion = 1;
enum Flag : uint8_t {
  kInputFlag = 1,
  kOutputFlag = 2,
  kErrorFlag = 4,
  kLosslessFlag = 8,
  kSessionFlag = 16,
};
constexpr uint8_t kAllFlags = kInputFlag | kOutputFlag | kErrorFlag | kLosslessFlag | kSessionFlag;
constexpr size_t kPieceHeaderBytes = 4;

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
  if (hello.session.size() > kMaxSessionBytes) {
    return absl::InvalidArgumentError("the session's name is too long to attach by");
  }
  std::string out(kMagic, sizeof(kMagic));
  out.push_back(kVersion);
  uint8_t flags = 0;
  if (hello.input) flags |= kInputFlag;
  if (hello.output) flags |= kOutputFlag;
  if (hello.error_output) flags |= kErrorFlag;
  if (hello.lossless) flags |= kLosslessFlag;
  if (!hello.session.empty()) flags |= kSessionFlag;
  out.push_back(static_cast<char>(flags));
  AppendBigEndian(hello.exec_id.size(), 2, out);
  absl::StrAppend(&out, hello.exec_id);
  if (!hello.session.empty()) {
    AppendBigEndian(hello.session.size(), 1, out);
    absl::StrAppend(&out, hello.session);
  }
  return out;
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
  size_t end = kHelloBytes + length;
  if (bytes.size() < end) return std::nullopt;
  Hello hello;
  hello.exec_id = bytes.substr(kHelloBytes, length);
  hello.input = (flags & kInputFlag) != 0;
  hello.output = (flags & kOutputFlag) != 0;
  hello.error_output = (flags & kErrorFlag) != 0;
  hello.lossless = (flags & kLosslessFlag) != 0;
  if ((flags & kSessionFlag) != 0) {
    if (bytes.size() < end + 1) return std::nullopt;
    const size_t session = ReadBigEndian(bytes, end, 1);
    if (session == 0 || session > kMaxSessionBytes) {
      return absl::InvalidArgumentError("the session's name in the hello is empty or too long");
    }
    end += 1 + session;
    if (bytes.size() < end) return std::nullopt;
    hello.session = bytes.substr(end - session, session);
  }
  bytes.erase(0, end);
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

std::string EncodeTaken(uint64_t bytes) {
  std::string payload;
  AppendBigEndian(bytes, 8, payload);
  return EncodeFrame(FrameType::kTaken, payload);
}

std::string EncodeInput(absl::string_view bytes) {
  std::string out;
  AppendBigEndian(bytes.size(), kPieceHeaderBytes, out);
  out.append(bytes.data(), bytes.size());
  return out;
}

void InputReader::Add(absl::string_view bytes, absl::FunctionRef<void(absl::string_view)> take) {
  while (!has_ended_ && !bytes.empty()) {
    if (left_ > 0) {
      const size_t count = bytes.size() < left_ ? bytes.size() : left_;
      left_ -= static_cast<uint32_t>(count);
      take(bytes.substr(0, count));
      bytes.remove_prefix(count);
      continue;
    }
    header_.push_back(bytes[0]);
    bytes.remove_prefix(1);
    if (header_.size() < kPieceHeaderBytes) continue;
    left_ = ReadBigEndian(header_, 0, kPieceHeaderBytes);
    header_.clear();
    has_ended_ = left_ == 0;
  }
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
  if (type > static_cast<uint8_t>(FrameType::kTaken) || size > kMaxPayloadBytes) {
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

absl::StatusOr<uint64_t> DecodeCount(absl::string_view payload) {
  if (payload.size() != 8) return absl::DataLossError("malformed count on the attach socket");
  return uint64_t{ReadBigEndian(payload, 0, 4)} << 32 | ReadBigEndian(payload, 4, 4);
}

}  // namespace berth::attach
