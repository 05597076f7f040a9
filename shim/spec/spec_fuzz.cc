// libFuzzer's entry: any bytes as a config.json, as an exec's process and as resources.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shim/spec/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  (void)berth::spec::ParseSpec(json);
  std::vector<std::string> warnings;
  (void)berth::spec::ParseProcess(json, warnings);
  (void)berth::spec::ParseResources(json);
  return 0;
}
