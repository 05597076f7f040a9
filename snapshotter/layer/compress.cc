#include "snapshotter/layer/compress.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::layer {
namespace {

constexpr size_t kOutputBytes = 128 * 1024;
// ISA-L's best level: about the ratio of zlib's level 2 at ten times its speed.
constexpr int kGzipLevel = 3;
constexpr int kZstdLevel = 3;

class PlainSink final : public CompressingSink {
 public:
  explicit PlainSink(ByteSink& below) : below_(below) {}
  absl::Status Write(absl::string_view bytes) override { return below_.Write(bytes); }
  absl::Status Finish() override { return absl::OkStatus(); }

 private:
  ByteSink& below_;
};

class GzipSink final : public CompressingSink {
 public:
  explicit GzipSink(ByteSink& below)
      : below_(below), level_buffer_(ISAL_DEF_LVL3_DEFAULT), output_(kOutputBytes) {
    isal_deflate_init(&stream_);
    stream_.gzip_flag = IGZIP_GZIP;
    stream_.level = kGzipLevel;
    stream_.level_buf = level_buffer_.data();
    stream_.level_buf_size = static_cast<uint32_t>(level_buffer_.size());
  }

  absl::Status Write(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const absl::string_view part = bytes.substr(0, 1u << 30);
      BERTH_RETURN_IF_ERROR(Deflate(part));
      bytes.remove_prefix(part.size());
    }
    return absl::OkStatus();
  }
  absl::Status Finish() override {
    stream_.end_of_stream = 1;
    return Deflate("");
  }

 private:
  absl::Status Deflate(absl::string_view bytes) {
    stream_.next_in = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(bytes.data()));
    stream_.avail_in = static_cast<uint32_t>(bytes.size());
    do {
      stream_.next_out = output_.data();
      stream_.avail_out = static_cast<uint32_t>(output_.size());
      const int result = isal_deflate(&stream_);
      if (result != COMP_OK) return absl::InternalError(absl::StrCat("isal_deflate: ", result));
      BERTH_RETURN_IF_ERROR(below_.Write(absl::string_view(
          reinterpret_cast<const char*>(output_.data()), output_.size() - stream_.avail_out)));
    } while (stream_.avail_out == 0);
    return absl::OkStatus();
  }

  ByteSink& below_;
  isal_zstream stream_;
  std::vector<uint8_t> level_buffer_;
  std::vector<uint8_t> output_;
};

class ZstdSink final : public CompressingSink {
 public:
  explicit ZstdSink(ByteSink& below)
      : below_(below), context_(ZSTD_createCCtx()), output_(kOutputBytes) {
    (void)ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kZstdLevel);
    (void)ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdSink() override { ZSTD_freeCCtx(context_); }
  ZstdSink(const ZstdSink&) = delete;
  ZstdSink& operator=(const ZstdSink&) = delete;

  absl::Status Write(absl::string_view bytes) override { return Run(bytes, ZSTD_e_continue); }
  absl::Status Finish() override { return Run("", ZSTD_e_end); }

 private:
  absl::Status Run(absl::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out = {output_.data(), output_.size(), 0};
      const size_t left = ZSTD_compressStream2(context_, &out, &in, directive);
      if (ZSTD_isError(left)) {
        return absl::InternalError(absl::StrCat("ZSTD_compressStream2: ", ZSTD_getErrorName(left)));
      }
      BERTH_RETURN_IF_ERROR(below_.Write(absl::string_view(output_.data(), out.pos)));
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return absl::OkStatus();
    }
  }

  ByteSink& below_;
  ZSTD_CCtx* const context_;
  std::vector<char> output_;
};

}  // namespace

std::unique_ptr<CompressingSink> OpenCompressed(Compression compression, ByteSink& below) {
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<GzipSink>(below);
    case Compression::kZstd:
      return std::make_unique<ZstdSink>(below);
    case Compression::kNone:
      break;
  }
  return std::make_unique<PlainSink>(below);
}

}  // namespace berth::layer
