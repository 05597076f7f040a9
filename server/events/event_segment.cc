#include "server/events/event_segment.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/journal/journal_format.h"

namespace berth::event_segment {
namespace {

constexpr absl::string_view kMagic = "BERTHEVT";
constexpr uint16_t kMajor = 1;
constexpr uint16_t kMinor = 0;
constexpr size_t kChecksumAt = 12;
constexpr size_t kCheckedFrom = 16;
constexpr size_t kBootIdAt = 32;
constexpr size_t kBootIdBytes = kHeaderBytes - kBootIdAt;

template <typename Integer>
void Put(std::string& bytes, size_t at, Integer value) {
  for (size_t i = 0; i < sizeof(value); ++i) {
    bytes[at + i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
  }
}
template <typename Integer>
Integer Get(absl::string_view bytes, size_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return static_cast<Integer>(value);
}

}  // namespace

std::string EncodeHeader(const Header& header) {
  std::string bytes(kHeaderBytes, '\0');
  bytes.replace(0, kMagic.size(), kMagic.data(), kMagic.size());
  Put<uint16_t>(bytes, 8, kMajor);
  Put<uint16_t>(bytes, 10, kMinor);
  Put<uint64_t>(bytes, 16, header.epoch);
  Put<uint64_t>(bytes, 24, header.first_sequence);
  const size_t length = std::min(header.boot_id.size(), kBootIdBytes);
  bytes.replace(kBootIdAt, length, header.boot_id, 0, length);
  Put<uint32_t>(bytes, kChecksumAt, journal::Crc32(absl::string_view(bytes).substr(kCheckedFrom)));
  return bytes;
}

absl::StatusOr<Header> DecodeHeader(absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError("no event log: its first bytes are another file's");
  }
  if (const uint16_t major = Get<uint16_t>(bytes, 8); major > kMajor) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", major, " of the event log is newer than this program's ", kMajor));
  }
  bytes = bytes.substr(0, kHeaderBytes);
  if (Get<uint32_t>(bytes, kChecksumAt) != journal::Crc32(bytes.substr(kCheckedFrom))) {
    return absl::DataLossError("the header of the event log is damaged");
  }
  Header header;
  header.epoch = Get<uint64_t>(bytes, 16);
  header.first_sequence = Get<uint64_t>(bytes, 24);
  const absl::string_view boot_id = bytes.substr(kBootIdAt);
  header.boot_id = std::string(boot_id.substr(0, boot_id.find('\0')));
  return header;
}

std::string EncodeRecord(uint64_t sequence, absl::string_view payload) {
  std::string bytes(kRecordHeaderBytes, '\0');
  bytes.append(payload.data(), payload.size());
  Put<uint32_t>(bytes, 0, static_cast<uint32_t>(payload.size()));
  Put<uint64_t>(bytes, 8, sequence);
  Put<uint32_t>(bytes, 4, journal::Crc32(absl::string_view(bytes).substr(8)));
  return bytes;
}

Record DecodeRecord(absl::string_view bytes) {
  Record record;
  if (bytes.size() < kRecordHeaderBytes) return record;
  const size_t length = Get<uint32_t>(bytes, 0);
  if (length > kMaxPayloadBytes) {
    record.state = RecordState::kBroken;
    return record;
  }
  record.needed_bytes = kRecordHeaderBytes + length;
  if (bytes.size() < record.needed_bytes) return record;
  const absl::string_view checked = bytes.substr(8, 8 + length);
  record.state = Get<uint32_t>(bytes, 4) == journal::Crc32(checked) ? RecordState::kWhole
                                                                    : RecordState::kBroken;
  record.sequence = Get<uint64_t>(bytes, 8);
  record.payload = checked.substr(8);
  return record;
}

}  // namespace berth::event_segment
