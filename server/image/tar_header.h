// Headers of tar archives that we write ourselves: plain files with short names, always the same
// bytes for the same file. Thread-safe functions.
#ifndef BERTH_SERVER_IMAGE_TAR_HEADER_H_
#define BERTH_SERVER_IMAGE_TAR_HEADER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::image {

inline constexpr int64_t kTarBlockBytes = 512;

enum class TarEntry { kFile, kDirectory };
// One block (POSIX ustar; sizes beyond 8 GiB in GNU's base-256). Mode 0444 or 0755, owner 0, time
// 0. Requires: `path` has at most 100 bytes.
std::string TarHeader(absl::string_view path, int64_t size_bytes, TarEntry entry);
// Zeros from the end of a file of that size to the end of its last block.
int64_t TarPadding(int64_t size_bytes);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_TAR_HEADER_H_
