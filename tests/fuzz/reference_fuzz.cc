// Image names: whatever is accepted is a fixed point of its own full and familiar forms.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/reference/reference.h"
#include "base/status/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto reference =
      berth::Reference::Parse(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!reference.ok()) return 0;
  for (const std::string& text : {reference->Full(), reference->Familiar()}) {
    const auto again = berth::Reference::Parse(text);
    BERTH_CHECK(again.ok());
    BERTH_CHECK(again->Full() == reference->Full());
  }
  return 0;
}
