// The ttrpc frame: ten bytes of header (big-endian), then the message.
//
//   data length u32 | stream id u32 | type u8 | flags u8
//
// Invariant: the reader holds at most one frame's data; a frame above the limit is skipped, not
// stored, and reported so that its stream can be failed. Pure code, thread-compatible.
#ifndef BERTH_BASE_TTRPC_FRAME_H_
#define BERTH_BASE_TTRPC_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace berth::ttrpc {

inline constexpr size_t kFrameHeaderBytes = 10;
inline constexpr size_t kMaxMessageBytes = 4u << 20;

enum class FrameType : uint8_t { kRequest = 1, kResponse = 2, kData = 3 };

struct FrameHeader {
  uint32_t length_bytes = 0;
  uint32_t stream_id = 0;
  FrameType type = FrameType::kRequest;  // may hold a value that is none of the three
  uint8_t flags = 0;
};

// The header's ten bytes, then `data`.
std::string EncodeFrame(uint32_t stream_id, FrameType type, absl::string_view data);
// Requires: `bytes` holds at least kFrameHeaderBytes.
FrameHeader DecodeFrameHeader(absl::string_view bytes);

// Cuts a byte stream into frames.
class FrameReader {
 public:
  enum class Verdict { kContinue, kStop };
  // `data` is empty for an oversized frame; `header.length_bytes` then says how long it was.
  using OnFrame = absl::FunctionRef<Verdict(const FrameHeader& header, absl::string_view data)>;

  FrameReader() = default;
  // Goes on where another reader stopped.
  FrameReader(std::string partial, uint64_t bytes_to_discard)
      : partial_(std::move(partial)), bytes_to_discard_(bytes_to_discard) {}

  // Takes `bytes` and calls `on_frame` for every frame that they complete. After kStop nothing of
  // this object is touched any more (the callback may have destroyed it).
  Verdict Feed(absl::string_view bytes, OnFrame on_frame);

  // What a successor goes on from.
  const std::string& partial() const { return partial_; }
  uint64_t bytes_to_discard() const { return bytes_to_discard_; }

 private:
  std::string partial_;            // the beginning of a frame
  uint64_t bytes_to_discard_ = 0;  // what remains of an oversized frame
};

}  // namespace berth::ttrpc

#endif  // BERTH_BASE_TTRPC_FRAME_H_
