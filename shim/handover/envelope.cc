#include "shim/handover/envelope.h"

#include "absl/strings/str_cat.h"
#include "base/journal/journal_format.h"

namespace berth::handover {
namespace {

constexpr absl::string_view kMagic = "BERTHUPG";
constexpr size_t kHeaderBytes = 20;  // magic, version, length, CRC

void AppendLittleEndian(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

uint32_t ReadLittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

std::string Wrap(absl::string_view state) {
  std::string bytes(kMagic);
  AppendLittleEndian(bytes, kVersion);
  AppendLittleEndian(bytes, static_cast<uint32_t>(state.size()));
  AppendLittleEndian(bytes, journal::Crc32(state));
  bytes.append(state.data(), state.size());
  return bytes;
}

absl::StatusOr<std::string> Unwrap(absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError("this is no state of a shim");
  }
  const uint32_t version = ReadLittleEndian(bytes.substr(8));
  if (version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the shim's state has version ", version, ", this program knows up to ",
                     kVersion, ": a program as new as the running one has to take it"));
  }
  const absl::string_view state = bytes.substr(kHeaderBytes);
  if (version == 0 || ReadLittleEndian(bytes.substr(12)) != state.size() ||
      ReadLittleEndian(bytes.substr(16)) != journal::Crc32(state)) {
    return absl::DataLossError("the shim's state is damaged or cut short");
  }
  return std::string(state);
}

}  // namespace berth::handover
