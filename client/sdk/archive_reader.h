// Streams the entries of a tar archive, compressed or not, in their order.
//
// Invariant: a truncated or corrupt archive ends in an error, never in a short list of entries.
// Thread-compatible; owned by the import that reads it.
#ifndef BERTH_CLIENT_SDK_ARCHIVE_READER_H_
#define BERTH_CLIENT_SDK_ARCHIVE_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

struct archive;
struct archive_entry;

namespace berth::client {

struct ArchiveEntry {
  enum class Kind { kFile, kLink, kOther };
  std::string path;  // without "./" in front
  Kind kind = Kind::kOther;
  std::string link_target;  // of a symbolic or hard link
  int64_t size_bytes = 0;
};

class ArchiveReader {
 public:
  // Reads from `fd`, which the caller keeps open. Errors: INVALID_ARGUMENT when it is no archive.
  static absl::StatusOr<ArchiveReader> Open(BorrowedFd fd);

  // Goes to the next entry; false at the end. Errors: DATA_LOSS.
  absl::StatusOr<bool> Next(ArchiveEntry& entry);
  // The next piece of the current file; empty at its end. Valid until the next call.
  absl::StatusOr<absl::string_view> ReadPiece();

 private:
  struct Free {
    void operator()(archive* reader) const;
  };

  explicit ArchiveReader(archive* reader);
  absl::Status Broken(absl::string_view step) const;

  std::unique_ptr<archive, Free> archive_;
  std::unique_ptr<char[]> buffer_;
  std::string current_path_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_ARCHIVE_READER_H_
