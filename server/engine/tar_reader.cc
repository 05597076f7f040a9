#include "server/engine/tar_reader.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr size_t kBlockBytes = 512;
constexpr uint64_t kMaxSize = std::numeric_limits<int64_t>::max() - kBlockBytes;
constexpr absl::string_view kXattrPrefix = "SCHILY.xattr.";

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the archive is no tar archive: ", what));
}

absl::string_view TextAt(absl::string_view block, size_t offset, size_t size) {
  const absl::string_view field = block.substr(offset, size);
  return field.substr(0, std::min(field.find('\0'), field.size()));
}

// Octal digits, or GNU's binary form. Nullopt for anything else, and for what 63 bits do not hold.
std::optional<uint64_t> NumberAt(absl::string_view block, size_t offset, size_t size) {
  absl::string_view field = block.substr(offset, size);
  uint64_t value = 0;
  if ((field[0] & 0x80) != 0) {
    if ((field[0] & 0x7f) != 0) return std::nullopt;  // negative, or far too large
    for (const char c : field.substr(1)) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  while (!field.empty() && field[0] == ' ') field.remove_prefix(1);
  for (const char c : field) {
    if (c == ' ' || c == '\0') break;
    if (c < '0' || c > '7' || value >> 60 != 0) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(c - '0');
  }
  return value;
}

bool HasGoodChecksum(absl::string_view block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlockBytes; ++i) {
    sum += i >= 148 && i < 156 ? uint64_t{' '} : static_cast<unsigned char>(block[i]);
  }
  return NumberAt(block, 148, 8) == sum;
}

// "SECONDS[.FRACTION]"; a time before 1970 counts as 1970.
bool ParseTime(absl::string_view text, struct timespec& time) {
  const size_t point = std::min(text.find('.'), text.size());
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(text.substr(0, point), &seconds)) return false;
  std::string fraction(point < text.size() ? text.substr(point + 1) : "");
  fraction.resize(9, '0');
  int64_t nanoseconds = 0;
  if (!absl::SimpleAtoi(fraction, &nanoseconds) || nanoseconds < 0) return false;
  const bool is_early = absl::StartsWith(text, "-");
  time.tv_sec = is_early ? 0 : seconds;
  time.tv_nsec = is_early ? 0 : nanoseconds;
  return true;
}

// Lines "LENGTH KEY=VALUE\n", where LENGTH counts the whole line.
absl::Status ParseRecords(absl::string_view text, std::map<std::string, std::string>& records) {
  while (!text.empty()) {
    const size_t space = text.find(' ');
    size_t length = 0;
    if (space == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, space), &length) ||
        length <= space + 1 || length > text.size() || text[length - 1] != '\n') {
      return Malformed("an extended record has a wrong length");
    }
    const absl::string_view line = text.substr(space + 1, length - space - 2);
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos) return Malformed("an extended record has no value");
    records[std::string(line.substr(0, equals))] = std::string(line.substr(equals + 1));
    text.remove_prefix(length);
  }
  return absl::OkStatus();
}

std::optional<EntryType> TypeOf(char flag) {
  switch (flag) {
    case '\0':
    case '0':
    case '7':  // contiguous: a file
      return EntryType::kFile;
    case '1':
      return EntryType::kHardlink;
    case '2':
      return EntryType::kSymlink;
    case '3':
      return EntryType::kCharDevice;
    case '4':
      return EntryType::kBlockDevice;
    case '5':
      return EntryType::kDirectory;
    case '6':
      return EntryType::kFifo;
    default:
      return std::nullopt;
  }
}

// What the header block alone says.
absl::StatusOr<Entry> ParseHeader(absl::string_view block) {
  Entry entry;
  const auto mode = NumberAt(block, 100, 8);
  const auto uid = NumberAt(block, 108, 8);
  const auto gid = NumberAt(block, 116, 8);
  const auto time = NumberAt(block, 136, 12);
  if (!mode || !uid || !gid) return Malformed("a header's mode or owner is no number");
  entry.path = std::string(TextAt(block, 0, 100));
  const absl::string_view prefix = TextAt(block, 345, 155);
  // GNU's own format has other things where ustar has the prefix.
  if (absl::string_view(block).substr(257, 6) == absl::string_view("ustar\0", 6) &&
      !prefix.empty()) {
    entry.path = absl::StrCat(prefix, "/", entry.path);
  }
  entry.permissions = static_cast<mode_t>(*mode & 07777);
  entry.uid = static_cast<uid_t>(std::min<uint64_t>(*uid, 0xfffffffe));
  entry.gid = static_cast<gid_t>(std::min<uint64_t>(*gid, 0xfffffffe));
  entry.modified.tv_sec = static_cast<time_t>(time.value_or(0));
  entry.link_target = std::string(TextAt(block, 157, 100));
  return entry;
}

}  // namespace

absl::Status TarReader::Feed(absl::string_view bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kEnd) return absl::OkStatus();
    if (state_ == State::kHeader) {
      const absl::string_view part = bytes.substr(0, kBlockBytes - block_.size());
      absl::StrAppend(&block_, part);
      bytes.remove_prefix(part.size());
      if (block_.size() < kBlockBytes) return absl::OkStatus();
      BERTH_RETURN_IF_ERROR(OnHeader());
      block_.clear();
      continue;
    }
    uint64_t& left = state_ == State::kPadding ? padding_ : left_;
    const absl::string_view part =
        bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(left, bytes.size())));
    if (state_ == State::kRecords) absl::StrAppend(&collected_, part);
    if (state_ == State::kData) {
      BERTH_RETURN_IF_ERROR(handler_.OnData(part));
    }
    bytes.remove_prefix(part.size());
    left -= part.size();
    if (left > 0) return absl::OkStatus();
    if (state_ == State::kPadding) {
      state_ = State::kHeader;
      continue;
    }
    BERTH_RETURN_IF_ERROR(state_ == State::kRecords ? OnRecords() : OnMemberEnd());
    state_ = padding_ > 0 ? State::kPadding : State::kHeader;
  }
  return absl::OkStatus();
}

absl::Status TarReader::Finish() {
  // Some writers leave the zero blocks at the end away.
  if (state_ == State::kEnd || (state_ == State::kHeader && block_.empty() && local_.empty())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("the archive ends within a member: it was cut short");
}

absl::Status TarReader::OnHeader() {
  if (block_.find_first_not_of('\0') == std::string::npos) {
    state_ = State::kEnd;
    return absl::OkStatus();
  }
  if (!HasGoodChecksum(block_)) {
    return Malformed("a header has a wrong checksum (if it is compressed, decompress it first)");
  }
  const std::optional<uint64_t> size = NumberAt(block_, 124, 12);
  if (!size || *size > kMaxSize) return Malformed("a header has an impossible size");
  const char type = block_[156];
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
    if (*size > kMaxRecordsBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the archive has extended records of ", *size,
                                                     " bytes; at most ", kMaxRecordsBytes,
                                                     " are taken"));
    }
    records_type_ = type;
    collected_.clear();
    left_ = *size;
    padding_ = (kBlockBytes - left_ % kBlockBytes) % kBlockBytes;
    state_ = left_ > 0 ? State::kRecords : State::kHeader;
    return absl::OkStatus();
  }
  BERTH_ASSIGN_OR_RETURN(Entry entry, ParseHeader(block_));
  return OnMember(type, std::move(entry), *size);
}

absl::Status TarReader::OnRecords() {
  if (records_type_ == 'x') return ParseRecords(collected_, local_);
  if (records_type_ == 'g') {
    BERTH_RETURN_IF_ERROR(ParseRecords(collected_, global_));
    size_t total = 0;
    for (const auto& [key, value] : global_) total += key.size() + value.size();
    return total <= kMaxRecordsBytes ? absl::OkStatus() : Malformed("too many global records");
  }
  const std::string text(TextAt(collected_, 0, collected_.size()));
  local_[records_type_ == 'L' ? "path" : "linkpath"] = text;
  return absl::OkStatus();
}

absl::Status TarReader::Describe(Entry& entry, uint64_t& size) const {
  for (const Records* records : {&global_, &local_}) {
    for (const auto& [key, value] : *records) {
      bool is_good = true;
      if (key == "path") {
        entry.path = value;
      } else if (key == "linkpath") {
        entry.link_target = value;
      } else if (key == "size") {
        is_good = absl::SimpleAtoi(value, &size) && size <= kMaxSize;
      } else if (key == "uid") {
        is_good = absl::SimpleAtoi(value, &entry.uid);
      } else if (key == "gid") {
        is_good = absl::SimpleAtoi(value, &entry.gid);
      } else if (key == "mtime") {
        is_good = ParseTime(value, entry.modified);
      } else if (absl::StartsWith(key, kXattrPrefix)) {
        entry.xattrs.emplace_back(key.substr(kXattrPrefix.size()), value);
      } else if (absl::StartsWith(key, "GNU.sparse.")) {
        return absl::InvalidArgumentError(
            absl::StrCat("the archive has the sparse member ", entry.path, ", which is not taken"));
      }
      if (!is_good) return Malformed(absl::StrCat("the record ", key, " is no number"));
    }
  }
  if (absl::StrContains(entry.path, '\0') || absl::StrContains(entry.link_target, '\0')) {
    return Malformed("a name has a NUL in it");
  }
  return absl::OkStatus();
}

absl::Status TarReader::OnMember(char type, Entry entry, uint64_t size) {
  BERTH_RETURN_IF_ERROR(Describe(entry, size));
  local_.clear();
  std::optional<EntryType> known = TypeOf(type);
  if (!known) {
    return absl::InvalidArgumentError(absl::StrCat("the archive has a member of type \"",
                                                   absl::string_view(&type, 1), "\" (", entry.path,
                                                   "), which is not taken"));
  }
  // Before ustar a directory was a file whose name ends so.
  if (*known == EntryType::kFile && absl::EndsWith(entry.path, "/")) known = EntryType::kDirectory;
  entry.type = *known;
  if (entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice) {
    const auto major = NumberAt(block_, 329, 8);
    const auto minor = NumberAt(block_, 337, 8);
    if (!major || !minor) return Malformed("a device's numbers are none");
    entry.device = ::makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor));
  }
  if (entry.type != EntryType::kFile && size > 0) {
    return Malformed(absl::StrCat("a member without data says that it has some: ", entry.path));
  }
  entry.size_bytes = size;
  BERTH_RETURN_IF_ERROR(handler_.OnEntry(entry));
  left_ = size;
  padding_ = (kBlockBytes - size % kBlockBytes) % kBlockBytes;
  if (size > 0) {
    state_ = State::kData;
    return absl::OkStatus();
  }
  state_ = State::kHeader;
  return OnMemberEnd();
}

absl::Status TarReader::OnMemberEnd() { return handler_.OnEntryEnd(); }

}  // namespace berth::engine
