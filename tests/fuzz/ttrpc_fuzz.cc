// libFuzzer's entry: any bytes as a stream of ttrpc frames in two pieces, whose payloads are read
// as envelopes.
#include <cstddef>
#include <cstdint>

#include "base/ttrpc/envelope.h"
#include "base/ttrpc/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using berth::ttrpc::FrameReader;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  FrameReader reader;
  const auto take = [](const berth::ttrpc::FrameHeader&, absl::string_view payload) {
    (void)berth::ttrpc::DecodeRequest(payload);
    (void)berth::ttrpc::DecodeResponse(payload);
    return FrameReader::Verdict::kContinue;
  };
  const size_t half = size > 0 ? data[0] % size : 0;
  (void)reader.Feed(bytes.substr(0, half), take);
  (void)reader.Feed(bytes.substr(half), take);
  (void)berth::ttrpc::DecodeRequest(bytes);
  (void)berth::ttrpc::DecodeResponse(bytes);
  return 0;
}
