#include "snapshotter/layer/decompress.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::layer {
namespace {

constexpr size_t kInputBytes = 128 * 1024;
constexpr int kMaxZstdWindowLog = 27;

// The unread part of one block of compressed input.
class InputBuffer {
 public:
  explicit InputBuffer(ByteSource& below) : below_(below), bytes_(kInputBytes) {}

  const char* data() const { return bytes_.data() + begin_; }
  size_t size() const { return end_ - begin_; }
  void Consume(size_t count) { begin_ += count; }
  // Reads more behind what is unread; false at the end of the stream. Requires: room is left.
  absl::StatusOr<bool> Fill() {
    if (begin_ == end_) begin_ = end_ = 0;
    BERTH_ASSIGN_OR_RETURN(const size_t got,
                           below_.Read(bytes_.data() + end_, bytes_.size() - end_));
    end_ += got;
    return got > 0;
  }

 private:
  ByteSource& below_;
  std::vector<char> bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(InputBuffer input, ByteSource& below)
      : input_(std::move(input)), below_(below) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override {
    if (input_.size() == 0) return below_.Read(buffer, capacity);
    const size_t count = std::min(capacity, input_.size());
    std::memcpy(buffer, input_.data(), count);
    input_.Consume(count);
    return count;
  }

 private:
  InputBuffer input_;
  ByteSource& below_;
};

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(InputBuffer input) : input_(std::move(input)) { StartMember(); }

  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override {
    capacity = std::min<size_t>(capacity, 1u << 30);  // ISA-L counts in 32 bits
    state_->next_out = reinterpret_cast<uint8_t*>(buffer);
    state_->avail_out = static_cast<uint32_t>(capacity);
    while (state_->avail_out == capacity) {
      if (state_->block_state == ISAL_BLOCK_FINISH) {
        BERTH_ASSIGN_OR_RETURN(const bool more, NextMember());
        if (!more) return 0;
      }
      BERTH_RETURN_IF_ERROR(InflateSome());
    }
    return capacity - state_->avail_out;
  }

 private:
  void StartMember() {
    uint8_t* const out = state_->next_out;
    const uint32_t room = state_->avail_out;
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;  // reads the header, checks CRC and length at the end
    state_->next_out = out;
    state_->avail_out = room;
  }

  // A gzip file is a sequence of members; zero bytes may pad the end.
  absl::StatusOr<bool> NextMember() {
    for (;;) {
      while (input_.size() > 0 && *input_.data() == 0) input_.Consume(1);
      if (input_.size() > 0) break;
      BERTH_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      if (!more) return false;
    }
    StartMember();
    return true;
  }

  absl::Status InflateSome() {
    bool at_end = false;
    if (input_.size() == 0) {
      BERTH_ASSIGN_OR_RETURN(const bool more, input_.Fill());
      at_end = !more;
    }
    const uint32_t room = state_->avail_out;
    state_->next_in =
        const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(input_.data()));  // read only
    state_->avail_in = static_cast<uint32_t>(input_.size());
    const int result = isal_inflate(state_.get());
    input_.Consume(input_.size() - state_->avail_in);
    if (result < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the gzip stream is damaged (", ErrorName(result),
                       "); fetch the layer again, or build the image again"));
    }
    if (at_end && state_->avail_out == room && state_->block_state != ISAL_BLOCK_FINISH) {
      return absl::InvalidArgumentError(
          "the gzip stream ends in the middle; fetch the layer again, or build the image again");
    }
    return absl::OkStatus();
  }

  static absl::string_view ErrorName(int result) {
    switch (result) {
      case ISAL_INVALID_BLOCK:
        return "invalid block";
      case ISAL_INVALID_SYMBOL:
        return "invalid symbol";
      case ISAL_INVALID_LOOKBACK:
        return "reference before the beginning";
      case ISAL_INVALID_WRAPPER:
        return "invalid header";
      case ISAL_INCORRECT_CHECKSUM:
        return "wrong checksum";
      default:
        return "unsupported method";
    }
  }

  InputBuffer input_;
  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
};

class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(InputBuffer input) : input_(std::move(input)), stream_(ZSTD_createDStream()) {
    (void)ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override {
    ZSTD_outBuffer out = {buffer, capacity, 0};
    while (out.pos == 0) {
      bool at_end = false;
      if (input_.size() == 0) {
        BERTH_ASSIGN_OR_RETURN(const bool more, input_.Fill());
        at_end = !more;
        if (at_end && frame_complete_) return 0;
      }
      ZSTD_inBuffer in = {input_.data(), input_.size(), 0};
      const size_t result = ZSTD_decompressStream(stream_, &out, &in);
      input_.Consume(in.pos);
      if (ZSTD_isError(result)) {
        return absl::InvalidArgumentError(
            absl::StrCat("the zstd stream is damaged (", ZSTD_getErrorName(result),
                         "); fetch the layer again, or build the image again"));
      }
      frame_complete_ = result == 0;
      if (at_end && out.pos == 0 && !frame_complete_) {
        return absl::InvalidArgumentError(
            "the zstd stream ends in the middle; fetch the layer again, or build the image again");
      }
    }
    return out.pos;
  }

 private:
  InputBuffer input_;
  ZSTD_DStream* const stream_;
  bool frame_complete_ = false;
};

Compression Recognise(absl::string_view begin) {
  if (begin.substr(0, 3) == absl::string_view("\x1f\x8b\x08", 3)) return Compression::kGzip;
  if (begin.size() < 4) return Compression::kNone;
  const absl::string_view magic = begin.substr(0, 4);
  if (magic == absl::string_view("\x28\xb5\x2f\xfd", 4)) return Compression::kZstd;
  // A skippable frame (zstd:chunked and seekable streams may begin with one).
  if ((static_cast<unsigned char>(magic[0]) & 0xf0) == 0x50 &&
      magic.substr(1) == absl::string_view("\x2a\x4d\x18", 3)) {
    return Compression::kZstd;
  }
  return Compression::kNone;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenDecompressed(ByteSource& compressed) {
  InputBuffer input(compressed);
  while (input.size() < 4) {
    BERTH_ASSIGN_OR_RETURN(const bool more, input.Fill());
    if (!more) break;
  }
  switch (Recognise(absl::string_view(input.data(), input.size()))) {
    case Compression::kGzip:
      return std::make_unique<GzipSource>(std::move(input));
    case Compression::kZstd:
      return std::make_unique<ZstdSource>(std::move(input));
    case Compression::kNone:
      break;
  }
  return std::make_unique<PlainSource>(std::move(input), compressed);
}

}  // namespace berth::layer
