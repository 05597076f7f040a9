// The little that filters need to know about UTF-8. Thread-safe functions.
#ifndef BERTH_SERVER_FILTER_UTF8_H_
#define BERTH_SERVER_FILTER_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::filter_internal {

// Decodes the first character of `text`; returns its length in bytes, 0 if it is malformed
// (overlong, surrogate, beyond U+10FFFF, truncated) or `text` is empty.
size_t DecodeUtf8(absl::string_view text, uint32_t& character);

void AppendUtf8(uint32_t character, std::string& text);

bool IsSpace(uint32_t character);
bool IsControl(uint32_t character);

}  // namespace berth::filter_internal

#endif  // BERTH_SERVER_FILTER_UTF8_H_
