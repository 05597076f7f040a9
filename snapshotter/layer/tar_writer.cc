#include "snapshotter/layer/tar_writer.h"

#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::layer {
namespace {

constexpr size_t kBlockBytes = 512;
constexpr size_t kCopyBytes = 256 * 1024;
constexpr uint64_t kMaxOctal7 = 07777777;       // uid, gid
constexpr uint64_t kMaxOctal11 = 077777777777;  // size, mtime

// POSIX.1-1988 ustar, byte for byte.
struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char padding[12];
};
static_assert(sizeof(Header) == kBlockBytes);

// Fills the field but for its last byte, which stays NUL.
template <size_t kSize>
void PutOctal(char (&field)[kSize], uint64_t value) {
  for (size_t i = kSize - 1; i > 0; --i) {
    field[i - 1] = static_cast<char>('0' + (value & 7));
    value >>= 3;
  }
}

template <size_t kSize>
void PutText(char (&field)[kSize], absl::string_view text) {
  std::memcpy(field, text.data(), std::min(kSize, text.size()));
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
void AppendRecord(std::string& records, absl::string_view key, absl::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (absl::StrCat(length).size() + rest != length) length = absl::StrCat(length).size() + rest;
  absl::StrAppend(&records, length, " ", key, "=", value, "\n");
}

std::string PaxTime(const struct timespec& time) {
  // Before 1970 the fraction counts backwards from the larger second: -0.25 is {-1, 750000000}.
  int64_t seconds = time.tv_sec;
  int64_t nanoseconds = time.tv_nsec;
  const bool negative = seconds < 0;
  if (negative && nanoseconds != 0) {
    seconds += 1;
    nanoseconds = 1000000000 - nanoseconds;
  }
  std::string text = absl::StrCat(negative ? "-" : "", negative ? -seconds : seconds);
  if (nanoseconds != 0) {
    absl::StrAppend(&text, absl::StrFormat(".%09d", nanoseconds));
    while (text.back() == '0') text.pop_back();
  }
  return text;
}

char TypeFlag(EntryType type) {
  switch (type) {
    case EntryType::kFile:
      return '0';
    case EntryType::kHardlink:
      return '1';
    case EntryType::kSymlink:
      return '2';
    case EntryType::kCharDevice:
      return '3';
    case EntryType::kBlockDevice:
      return '4';
    case EntryType::kDirectory:
      return '5';
    case EntryType::kFifo:
      return '6';
  }
  return '0';
}

void Seal(Header& header) {
  PutText(header.magic, absl::string_view("ustar\0", 6));
  PutText(header.version, "00");
  std::memset(header.checksum, ' ', sizeof(header.checksum));
  unsigned sum = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  for (size_t i = 0; i < sizeof(Header); ++i) sum += bytes[i];
  char digits[7] = {};
  PutOctal(digits, sum);
  std::memcpy(header.checksum, digits, sizeof(digits));  // six digits, NUL, and a space
}

// Puts the name into `name` and `prefix`; false when it does not fit.
bool PutPath(Header& header, absl::string_view path) {
  if (!IsAscii(path)) return false;
  if (path.size() <= sizeof(header.name)) {
    PutText(header.name, path);
    return true;
  }
  // The prefix ends at some "/" and neither part may be empty.
  const size_t last = std::min(sizeof(header.prefix), path.size() - 2);
  const size_t slash = path.rfind('/', last);
  if (slash == absl::string_view::npos || slash == 0 ||
      path.size() - slash - 1 > sizeof(header.name)) {
    return false;
  }
  PutText(header.prefix, path.substr(0, slash));
  PutText(header.name, path.substr(slash + 1));
  return true;
}

// Fills `header` and returns the pax records for what did not fit.
std::string Describe(const Entry& entry, Header& header) {
  std::string records;
  std::string path = entry.path;
  if (entry.type == EntryType::kDirectory && !absl::EndsWith(path, "/")) path += '/';
  if (!PutPath(header, path)) {
    PutText(header.name, path);  // cut; for readers without pax
    AppendRecord(records, "path", path);
  }
  PutOctal(header.mode, entry.permissions & 07777);
  PutOctal(header.uid, std::min<uint64_t>(entry.uid, kMaxOctal7));
  PutOctal(header.gid, std::min<uint64_t>(entry.gid, kMaxOctal7));
  if (entry.uid > kMaxOctal7) AppendRecord(records, "uid", absl::StrCat(entry.uid));
  if (entry.gid > kMaxOctal7) AppendRecord(records, "gid", absl::StrCat(entry.gid));
  const uint64_t size = entry.type == EntryType::kFile ? entry.size_bytes : 0;
  PutOctal(header.size, std::min(size, kMaxOctal11));
  if (size > kMaxOctal11) AppendRecord(records, "size", absl::StrCat(size));
  const int64_t seconds = entry.modified.tv_sec;
  const bool fits = seconds >= 0 && static_cast<uint64_t>(seconds) <= kMaxOctal11;
  PutOctal(header.mtime, fits ? static_cast<uint64_t>(seconds) : 0);
  if (!fits || entry.modified.tv_nsec != 0) {
    AppendRecord(records, "mtime", PaxTime(entry.modified));
  }
  header.type = TypeFlag(entry.type);
  if (!entry.link_target.empty()) {
    // Also where a pax record replaces it: libarchive loses the target when the field is empty.
    PutText(header.link, entry.link_target);
    if (!IsAscii(entry.link_target) || entry.link_target.size() > sizeof(header.link)) {
      AppendRecord(records, "linkpath", entry.link_target);
    }
  }
  if (entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice) {
    PutOctal(header.device_major, major(entry.device));
    PutOctal(header.device_minor, minor(entry.device));
  }
  for (const auto& [name, value] : entry.xattrs) {
    AppendRecord(records, absl::StrCat("SCHILY.xattr.", name), value);
  }
  return records;
}

absl::string_view AsBytes(const Header& header) {
  return absl::string_view(reinterpret_cast<const char*>(&header), sizeof(header));
}

}  // namespace

absl::Status TarWriter::AddHeader(const Entry& entry) {
  Header header = {};
  const std::string records = Describe(entry, header);
  if (!records.empty()) {
    Header extended = {};
    PutText(extended.name, "PaxHeaders.0/entry");
    PutOctal(extended.mode, 0644);
    PutOctal(extended.uid, 0);
    PutOctal(extended.gid, 0);
    PutOctal(extended.size, records.size());
    PutOctal(extended.mtime, 0);
    extended.type = 'x';
    Seal(extended);
    BERTH_RETURN_IF_ERROR(below_.Write(AsBytes(extended)));
    BERTH_RETURN_IF_ERROR(WritePadded(records));
  }
  Seal(header);
  return below_.Write(AsBytes(header));
}

absl::Status TarWriter::AddFile(const Entry& entry, BorrowedFd file) {
  BERTH_RETURN_IF_ERROR(AddHeader(entry));
  BERTH_RETURN_IF_ERROR(CopyData(file, entry.size_bytes));
  const uint64_t tail = entry.size_bytes % kBlockBytes;
  return tail == 0 ? absl::OkStatus() : WriteZeros(kBlockBytes - tail);
}

absl::Status TarWriter::CopyData(BorrowedFd file, uint64_t size) {
  std::vector<char> buffer(std::min<uint64_t>(size, kCopyBytes));
  uint64_t offset = 0;
  while (offset < size) {
    // A hole costs no reading. Filesystems without SEEK_DATA say that all is data.
    const off_t data = ::lseek(file.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return WriteZeros(size - offset);
    if (data > static_cast<off_t>(offset)) {
      const uint64_t end = std::min<uint64_t>(static_cast<uint64_t>(data), size);
      BERTH_RETURN_IF_ERROR(WriteZeros(end - offset));
      offset = end;
      continue;
    }
    const size_t want = std::min<uint64_t>(size - offset, buffer.size());
    const ssize_t got = ::pread(file.get(), buffer.data(), want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread");
    if (got == 0) return WriteZeros(size - offset);
    BERTH_RETURN_IF_ERROR(below_.Write(absl::string_view(buffer.data(), static_cast<size_t>(got))));
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::Status TarWriter::WritePadded(absl::string_view data) {
  BERTH_RETURN_IF_ERROR(below_.Write(data));
  const size_t tail = data.size() % kBlockBytes;
  return tail == 0 ? absl::OkStatus() : WriteZeros(kBlockBytes - tail);
}

absl::Status TarWriter::WriteZeros(uint64_t count) {
  static constexpr std::array<char, 64 * 1024> kZeros = {};
  while (count > 0) {
    const size_t part = std::min<uint64_t>(count, kZeros.size());
    BERTH_RETURN_IF_ERROR(below_.Write(absl::string_view(kZeros.data(), part)));
    count -= part;
  }
  return absl::OkStatus();
}

absl::Status TarWriter::Finish() { return WriteZeros(2 * kBlockBytes); }

}  // namespace berth::layer
