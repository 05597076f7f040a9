#include "server/image/tar_header.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_format.h"
#include "base/status/check.h"

namespace berth::image {
namespace {

struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kPath = {0, 100};
constexpr Field kMode = {100, 8};
constexpr Field kUid = {108, 8};
constexpr Field kGid = {116, 8};
constexpr Field kSize = {124, 12};
constexpr Field kTime = {136, 12};
constexpr Field kChecksum = {148, 8};
constexpr Field kType = {156, 1};
constexpr Field kMagic = {257, 8};
constexpr int64_t kMaxOctalSize = (int64_t{1} << 33) - 1;

void Put(std::string& block, Field field, absl::string_view text) {
  std::copy_n(text.data(), std::min(text.size(), field.size), block.begin() + field.offset);
}

void PutSize(std::string& block, int64_t size_bytes) {
  if (size_bytes <= kMaxOctalSize) {
    return Put(block, kSize, absl::StrFormat("%011o", size_bytes));
  }
  for (size_t i = 0; i < kSize.size; ++i) {
    block[kSize.offset + kSize.size - 1 - i] = static_cast<char>(size_bytes & 0xff);
    size_bytes >>= 8;
  }
  block[kSize.offset] = static_cast<char>(0x80);
}

}  // namespace

std::string TarHeader(absl::string_view path, int64_t size_bytes, TarEntry entry) {
  BERTH_CHECK(path.size() <= kPath.size);
  std::string block(kTarBlockBytes, '\0');
  Put(block, kPath, path);
  Put(block, kMode, entry == TarEntry::kDirectory ? "0000755" : "0000444");
  Put(block, kUid, "0000000");
  Put(block, kGid, "0000000");
  PutSize(block, size_bytes);
  Put(block, kTime, "00000000000");
  Put(block, kType, entry == TarEntry::kDirectory ? "5" : "0");
  Put(block, kMagic, absl::string_view("ustar\00000", 8));
  Put(block, kChecksum, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  Put(block, kChecksum, absl::StrFormat("%06o", sum));
  block[kChecksum.offset + 6] = '\0';
  return block;
}

int64_t TarPadding(int64_t size_bytes) {
  return (kTarBlockBytes - size_bytes % kTarBlockBytes) % kTarBlockBytes;
}

}  // namespace berth::image
