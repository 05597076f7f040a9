#include "base/journal/journal_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::journal {
namespace {

constexpr absl::string_view kMagic = "BERTHJNL";
constexpr uint64_t kHasStdio = 1, kHasTerminal = 2;

// Little-endian integers and length-prefixed texts into a block of fixed size whose first four
// bytes are the CRC of the rest.
class BlockWriter {
 public:
  explicit BlockWriter(size_t size_bytes) : size_bytes_(size_bytes), block_(4, '\0') {}

  void Integer(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) block_.push_back(static_cast<char>(value >> (8 * i)));
  }
  void Text(absl::string_view text) {
    fits_ = fits_ && text.size() <= 0xffff;
    Integer(text.size(), 2);
    block_.append(text.data(), text.size());
  }
  void Raw(absl::string_view bytes) { block_.append(bytes.data(), bytes.size()); }
  bool fits() const { return fits_ && block_.size() <= size_bytes_; }

  absl::StatusOr<std::string> Finish(absl::string_view what) {
    if (!fits()) {
      return absl::InvalidArgumentError(absl::StrCat("the journal's ", what, " takes ",
                                                     block_.size(), " of ", size_bytes_,
                                                     " bytes: shorten names or cgroup paths"));
    }
    block_.resize(size_bytes_, '\0');
    const uint32_t crc = Crc32(absl::string_view(block_).substr(4));
    for (int i = 0; i < 4; ++i) block_[i] = static_cast<char>(crc >> (8 * i));
    return std::move(block_);
  }

 private:
  const size_t size_bytes_;
  std::string block_;
  bool fits_ = true;
};

// Reads what BlockWriter wrote; past the end it yields zeros and says so.
class BlockReader {
 public:
  explicit BlockReader(absl::string_view block) : rest_(block) { crc_ = Integer(4); }

  bool CrcMatches() const { return crc_ == Crc32(rest_); }  // before anything else is read
  uint64_t Integer(int bytes) {
    if (rest_.size() < static_cast<size_t>(bytes)) {
      complete_ = false;
      return 0;
    }
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint64_t{static_cast<uint8_t>(rest_[i])} << (8 * i);
    rest_.remove_prefix(bytes);
    return value;
  }
  std::string Text() {
    const size_t size = Integer(2);
    if (rest_.size() < size) {
      complete_ = false;
      return "";
    }
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  std::string Raw(size_t size) {
    if (rest_.size() < size) {
      complete_ = false;
      return "";
    }
    std::string bytes(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return bytes;
  }
  bool complete() const { return complete_; }

 private:
  absl::string_view rest_;
  uint64_t crc_ = 0;
  bool complete_ = true;
};

bool AllZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == '\0'; });
}

// kCrcTables[k][b]: the CRC of byte b and k zero bytes behind it, so that eight bytes are taken by
// eight lookups that do not wait for each other ("slicing by 8").
constexpr size_t kSlices = 8;
constexpr std::array<std::array<uint32_t, 256>, kSlices> MakeCrcTables() {
  std::array<std::array<uint32_t, 256>, kSlices> tables = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr auto kCrcTables = MakeCrcTables();

uint32_t LittleEndian32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace

uint32_t Crc32(absl::string_view bytes) {
  uint32_t crc = ~0u;
  for (; bytes.size() >= kSlices; bytes.remove_prefix(kSlices)) {
    const uint32_t low = crc ^ LittleEndian32(bytes.data());
    const uint32_t high = LittleEndian32(bytes.data() + 4);
    crc = kCrcTables[7][low & 0xff] ^ kCrcTables[6][low >> 8 & 0xff] ^
          kCrcTables[5][low >> 16 & 0xff] ^ kCrcTables[4][low >> 24] ^ kCrcTables[3][high & 0xff] ^
          kCrcTables[2][high >> 8 & 0xff] ^ kCrcTables[1][high >> 16 & 0xff] ^
          kCrcTables[0][high >> 24];
  }
  for (const char byte : bytes) {
    crc = crc >> 8 ^ kCrcTables[0][(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  }
  return ~crc;
}

absl::StatusOr<std::string> EncodeHeader(const Header& header) {
  BlockWriter block(kHeaderBytes);
  block.Raw(kMagic);
  block.Integer(kMajorVersion, 2);
  block.Integer(kMinorVersion, 2);
  block.Integer(static_cast<uint32_t>(header.shim.pid), 4);
  block.Integer(header.shim.start_time_ticks, 8);
  block.Text(header.boot_id);
  block.Text(header.namespace_name);
  block.Text(header.container_id);
  return block.Finish("header");
}

absl::StatusOr<Header> DecodeHeader(absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return absl::DataLossError("the journal is too short");
  BlockReader block(bytes.substr(0, kHeaderBytes));
  const bool intact = block.CrcMatches();
  if (block.Raw(kMagic.size()) != kMagic) return absl::DataLossError("this is no journal");
  const uint64_t major = block.Integer(2);
  if (major > kMajorVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("journal version ", major, " is newer than this program's ", kMajorVersion,
                     ": use the release that wrote it"));
  }
  (void)block.Integer(2);  // a higher minor version adds fields behind those read here
  Header header;
  header.shim.pid = static_cast<pid_t>(block.Integer(4));
  header.shim.start_time_ticks = block.Integer(8);
  header.boot_id = block.Text();
  header.namespace_name = block.Text();
  header.container_id = block.Text();
  if (!intact || !block.complete()) return absl::DataLossError("the journal's header is damaged");
  return header;
}

absl::StatusOr<std::string> EncodeResources(const Resources& resources) {
  BlockWriter block(kResourcesBytes);
  block.Integer(resources.cgroup_paths.size(), 2);
  for (const std::string& path : resources.cgroup_paths) block.Text(path);
  if (resources.stdio.has_value()) {
    BlockWriter with_stdio = block;
    with_stdio.Integer(kHasStdio | (resources.stdio->terminal ? kHasTerminal : 0), 1);
    for (const std::string* path :
         {&resources.stdio->in, &resources.stdio->out, &resources.stdio->err}) {
      with_stdio.Text(*path);
    }
    if (with_stdio.fits()) return with_stdio.Finish("resources");
  }
  return block.Finish("list of cgroups");
}

absl::StatusOr<Resources> DecodeResources(absl::string_view bytes) {
  Resources resources;
  std::vector<std::string>& paths = resources.cgroup_paths;
  if (AllZero(bytes)) return resources;
  BlockReader block(bytes);
  if (!block.CrcMatches()) return absl::DataLossError("the journal's list of cgroups is damaged");
  const uint64_t count = block.Integer(2);
  for (uint64_t i = 0; i < count && block.complete(); ++i) paths.push_back(block.Text());
  if (!block.complete()) return absl::DataLossError("the journal's list of cgroups is cut short");
  // Zero where minor version 1 wrote it, and where there was no room.
  const uint64_t flags = block.Integer(1);
  if ((flags & kHasStdio) == 0) return resources;
  Stdio stdio;
  stdio.terminal = (flags & kHasTerminal) != 0;
  for (std::string* path : {&stdio.in, &stdio.out, &stdio.err}) *path = block.Text();
  if (!block.complete()) return absl::DataLossError("the journal's stdio is cut short");
  resources.stdio = std::move(stdio);
  return resources;
}

absl::StatusOr<std::string> EncodeCopy(const ProcessRecord& record, uint64_t sequence) {
  BlockWriter block(kCopyBytes);
  block.Integer(sequence, 8);
  block.Integer(static_cast<uint8_t>(record.stage), 1);
  block.Integer(
      (record.exit_announced ? 1 : 0) | (record.delete_announced ? 2 : 0) | (record.paused ? 4 : 0),
      1);
  block.Integer(static_cast<uint32_t>(record.process.pid), 4);
  block.Integer(record.process.start_time_ticks, 8);
  block.Integer(record.exit_status, 4);
  block.Integer(record.exited_at == absl::InfinitePast()
                    ? 0
                    : static_cast<uint64_t>(absl::ToUnixNanos(record.exited_at)),
                8);
  block.Text(record.exec_id);
  block.Integer(record.generation, 4);
  return block.Finish("process record");
}

absl::StatusOr<Copy> DecodeCopy(absl::string_view bytes) {
  if (AllZero(bytes)) return absl::NotFoundError("never written");
  BlockReader block(bytes);
  if (!block.CrcMatches()) return absl::DataLossError("a process record is damaged");
  Copy copy;
  copy.sequence = block.Integer(8);
  copy.record.stage = static_cast<Stage>(block.Integer(1));
  const uint64_t flags = block.Integer(1);
  copy.record.exit_announced = (flags & 1) != 0;
  copy.record.delete_announced = (flags & 2) != 0;
  copy.record.paused = (flags & 4) != 0;
  copy.record.process.pid = static_cast<pid_t>(block.Integer(4));
  copy.record.process.start_time_ticks = block.Integer(8);
  copy.record.exit_status = static_cast<uint32_t>(block.Integer(4));
  if (const auto exited_ns = static_cast<int64_t>(block.Integer(8)); exited_ns != 0) {
    copy.record.exited_at = absl::FromUnixNanos(exited_ns);
  }
  copy.record.exec_id = block.Text();
  // Zero where minor version 0 wrote it, which knew one generation.
  copy.record.generation = std::max<uint32_t>(1, static_cast<uint32_t>(block.Integer(4)));
  if (!block.complete()) return absl::DataLossError("a process record is cut short");
  return copy;
}

}  // namespace berth::journal
