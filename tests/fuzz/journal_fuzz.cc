// libFuzzer's entry: any bytes as each part of a task journal.
#include <cstddef>
#include <cstdint>

#include "base/journal/journal_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)berth::journal::DecodeHeader(bytes);
  (void)berth::journal::DecodeResources(bytes);
  (void)berth::journal::DecodeCopy(bytes);
  return 0;
}
