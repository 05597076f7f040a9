// libFuzzer's entry: any bytes as a filter, which is then evaluated. Nothing may crash or hang.
#include <cstddef>
#include <cstdint>
#include <string>

#include "server/filter/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<berth::Filter> filter =
      berth::Filter::Compile(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (filter.ok()) {
    (void)filter->Matches([](const std::vector<std::string>& path) -> std::optional<std::string> {
      if (path.front() == "labels") return std::nullopt;
      return path.back();
    });
  }
  return 0;
}
