#include "client/docker/plain_archive.h"

#include <archive.h>
#include <archive_entry.h>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/late_libarchive.h"

namespace berth::client {
namespace {

constexpr size_t kReadBytes = 64 << 10;

absl::Status Broken(archive* reader) {
  const char* message = ::archive_error_string(reader);
  return absl::DataLossError(absl::StrCat("the archive cannot be unpacked: ",
                                          message != nullptr ? message : "no reason given"));
}

}  // namespace

void PlainArchive::Free::operator()(archive* reader) const { ::archive_read_free(reader); }

absl::StatusOr<PlainArchive> PlainArchive::Open(BorrowedFd fd) {
  BERTH_RETURN_IF_ERROR(LoadLibarchive());
  PlainArchive result(::archive_read_new());
  archive* const reader = result.archive_.get();
  for (const auto support :
       {::archive_read_support_filter_gzip, ::archive_read_support_filter_bzip2,
        ::archive_read_support_filter_xz, ::archive_read_support_filter_zstd,
        ::archive_read_support_filter_lz4}) {
    support(reader);  // one that this libarchive lacks is told when it is met
  }
  // "raw" is one entry with everything; it does not take an empty input.
  ::archive_read_support_format_raw(reader);
  ::archive_read_support_format_empty(reader);
  if (::archive_read_open_fd(reader, fd.get(), kReadBytes) != ARCHIVE_OK) return Broken(reader);
  archive_entry* entry = nullptr;
  const int header = ::archive_read_next_header(reader, &entry);
  result.is_empty_ = header == ARCHIVE_EOF;
  if (header != ARCHIVE_OK && header != ARCHIVE_WARN && header != ARCHIVE_EOF) {
    return Broken(reader);
  }
  return result;
}

absl::StatusOr<std::string> PlainArchive::Read(size_t limit_bytes) {
  std::string piece;
  if (is_empty_) return piece;
  piece.resize(limit_bytes);
  const la_ssize_t count = ::archive_read_data(archive_.get(), piece.data(), piece.size());
  if (count < 0) return Broken(archive_.get());
  piece.resize(static_cast<size_t>(count));
  return piece;
}

}  // namespace berth::client
