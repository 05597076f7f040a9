// libFuzzer's entry: any bytes as a JSON document.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/json/document.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)berth::json::Document::Parse(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
