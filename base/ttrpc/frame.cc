#include "base/ttrpc/frame.h"

#include <algorithm>

namespace berth::ttrpc {
namespace {

void AppendBigEndian(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

uint32_t ReadBigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

std::string EncodeFrame(uint32_t stream_id, FrameType type, absl::string_view data) {
  std::string out;
  out.reserve(kFrameHeaderBytes + data.size());
  AppendBigEndian(out, static_cast<uint32_t>(data.size()));
  AppendBigEndian(out, stream_id);
  out.push_back(static_cast<char>(type));
  out.push_back('\0');
  out.append(data.data(), data.size());
  return out;
}

FrameHeader DecodeFrameHeader(absl::string_view bytes) {
  return FrameHeader{.length_bytes = ReadBigEndian(bytes),
                     .stream_id = ReadBigEndian(bytes.substr(4)),
                     .type = static_cast<FrameType>(bytes[8]),
                     .flags = static_cast<uint8_t>(bytes[9])};
}

FrameReader::Verdict FrameReader::Feed(absl::string_view bytes, OnFrame on_frame) {
  // Frames that lie whole in `bytes` are handed out from there; only a broken one is copied, and it
  // is looked at again only when it is complete. A local holds it during the callbacks.
  std::string joined;
  if (!partial_.empty()) {
    partial_.append(bytes.data(), bytes.size());
    if (partial_.size() < kFrameHeaderBytes) return Verdict::kContinue;
    const size_t length_bytes = DecodeFrameHeader(partial_).length_bytes;
    if (length_bytes <= kMaxMessageBytes && partial_.size() < kFrameHeaderBytes + length_bytes) {
      return Verdict::kContinue;
    }
    joined.swap(partial_);
    bytes = joined;
  }
  while (true) {
    const size_t skipped = std::min<uint64_t>(bytes_to_discard_, bytes.size());
    bytes.remove_prefix(skipped);
    bytes_to_discard_ -= skipped;
    if (bytes.size() < kFrameHeaderBytes) break;
    const FrameHeader header = DecodeFrameHeader(bytes);
    if (header.length_bytes > kMaxMessageBytes) {
      bytes.remove_prefix(kFrameHeaderBytes);
      bytes_to_discard_ = header.length_bytes;
      if (on_frame(header, "") == Verdict::kStop) return Verdict::kStop;
      continue;
    }
    if (bytes.size() - kFrameHeaderBytes < header.length_bytes) break;
    const absl::string_view data = bytes.substr(kFrameHeaderBytes, header.length_bytes);
    bytes.remove_prefix(kFrameHeaderBytes + header.length_bytes);
    if (on_frame(header, data) == Verdict::kStop) return Verdict::kStop;
  }
  partial_.assign(bytes.data(), bytes.size());
  return Verdict::kContinue;
}

}  // namespace berth::ttrpc
