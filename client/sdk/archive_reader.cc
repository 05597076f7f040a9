#include "client/sdk/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace berth::client {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kPieceBytes = 1 << 20;

absl::string_view MessageOf(archive* reader) {
  const char* message = ::archive_error_string(reader);
  return message != nullptr ? message : "no reason given";
}

absl::string_view OrEmpty(const char* text) { return text != nullptr ? text : ""; }

}  // namespace

void ArchiveReader::Free::operator()(archive* reader) const { ::archive_read_free(reader); }

ArchiveReader::ArchiveReader(archive* reader)
    : archive_(reader), buffer_(std::make_unique<char[]>(kPieceBytes)) {}

absl::StatusOr<ArchiveReader> ArchiveReader::Open(BorrowedFd fd) {
  ArchiveReader reader(::archive_read_new());
  ::archive_read_support_filter_all(reader.archive_.get());
  ::archive_read_support_format_tar(reader.archive_.get());
  if (::archive_read_open_fd(reader.archive_.get(), fd.get(), kReadBytes) != ARCHIVE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("this is no tar archive, compressed or not (",
                                                   MessageOf(reader.archive_.get()), ")"));
  }
  return reader;
}

absl::Status ArchiveReader::Broken(absl::string_view step) const {
  return absl::DataLossError(
      absl::StrCat("the archive is truncated or corrupt: ", step,
                   current_path_.empty() ? "" : absl::StrCat(" after \"", current_path_, "\""),
                   " failed (", MessageOf(archive_.get()), ")"));
}

absl::StatusOr<bool> ArchiveReader::Next(ArchiveEntry& entry) {
  archive_entry* header = nullptr;
  const int result = ::archive_read_next_header(archive_.get(), &header);
  if (result == ARCHIVE_EOF) return false;
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Broken("reading an entry");
  const absl::string_view path = OrEmpty(::archive_entry_pathname(header));
  entry.path = std::string(absl::StripPrefix(path, "./"));
  entry.size_bytes = ::archive_entry_size(header);
  entry.link_target.clear();
  if (const char* target = ::archive_entry_hardlink(header)) {
    entry.kind = ArchiveEntry::Kind::kLink;
    entry.link_target = target;
  } else if (::archive_entry_filetype(header) == AE_IFLNK) {
    entry.kind = ArchiveEntry::Kind::kLink;
    entry.link_target = std::string(OrEmpty(::archive_entry_symlink(header)));
  } else {
    entry.kind = ::archive_entry_filetype(header) == AE_IFREG ? ArchiveEntry::Kind::kFile
                                                              : ArchiveEntry::Kind::kOther;
  }
  current_path_ = entry.path;
  return true;
}

absl::StatusOr<absl::string_view> ArchiveReader::ReadPiece() {
  const la_ssize_t count = ::archive_read_data(archive_.get(), buffer_.get(), kPieceBytes);
  if (count < 0) return Broken("reading data");
  return absl::string_view(buffer_.get(), static_cast<size_t>(count));
}

}  // namespace berth::client
