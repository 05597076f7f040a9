// libFuzzer's entry: any bytes as a format, run over a small document.
#include <cstddef>
#include <cstdint>

#include "client/format/row_view.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = berth::client::Template::Parse(source);
  if (!parsed.ok()) return 0;
  const berth::client::Json document = {
      {"A", "text"}, {"N", 7}, {"L", {1, "two", nullptr}}, {"M", {{"k", "v"}}}};
  (void)parsed->Execute(document);
  return 0;
}
