// Files of this machine from and to tar streams, for `berth cp` and for image layouts in
// directories.
//
// Invariant: extraction writes below the target directory and nowhere else: entries with ".." and
// absolute names are refused, a symbolic link on the way is replaced by a directory. Thread-safe
// functions.
#ifndef BERTH_CLIENT_SDK_LOCAL_ARCHIVE_H_
#define BERTH_CLIENT_SDK_LOCAL_ARCHIVE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::client {

enum class LinkMode { kKeep, kFollow };  // a symbolic link that is itself to be copied
enum class OwnerMode { kMine, kArchived };

// Writes `path` and what is below it to `out` as a tar in which it is called `name`; "." names its
// contents alone.
absl::Status WriteArchive(const std::string& path, const std::string& name, LinkMode links,
                          BorrowedFd out);

// What an extraction does with the names in the archive: "from" and "from/..." become "to" and
// "to/...". An empty `from` leaves names alone.
struct Renaming {
  std::string from;
  std::string to;
};

// Extracts what `in` brings into `directory`. Reads `in` to its end also after an error. Answers
// the bytes of all files.
absl::StatusOr<int64_t> ExtractArchive(BorrowedFd in, const std::string& directory,
                                       const Renaming& renaming, OwnerMode owners);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_LOCAL_ARCHIVE_H_
