// Whole-file reads and writes, atomic replacement, directories.
//
// Invariant: ReplaceFile leaves either the old or the new content under the name, never a part;
// with Durability::kSynced it is on the disk when the call returns. Thread-safe functions.
#ifndef BERTH_BASE_OS_FILE_IO_H_
#define BERTH_BASE_OS_FILE_IO_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

enum class Durability { kUnsynced, kSynced };

// Reads `path` (relative to `directory`; BorrowedFd(AT_FDCWD) for the working directory) to its
// end. Errors: RESOURCE_EXHAUSTED when it holds more than `limit_bytes`.
absl::StatusOr<std::string> ReadFileAt(BorrowedFd directory, absl::string_view path,
                                       size_t limit_bytes = 64u << 20);
absl::StatusOr<std::string> ReadFile(absl::string_view path, size_t limit_bytes = 64u << 20);
// Reads from `fd` until its end.
absl::StatusOr<std::string> ReadAll(BorrowedFd fd, size_t limit_bytes);
// Writes all of `data`; short writes and EINTR are continued. Errors: RESOURCE_EXHAUSTED for
// EAGAIN.
absl::Status WriteAll(BorrowedFd fd, absl::string_view data);
// Opens an existing file for writing and writes `data` in one call: the form control files (cgroup,
// proc) want.
absl::Status WriteControlFileAt(BorrowedFd directory, absl::string_view path,
                                absl::string_view data);
// Writes a temporary sibling and renames it over `path`.
absl::Status ReplaceFileAt(BorrowedFd directory, absl::string_view path, absl::string_view data,
                           mode_t mode, Durability durability);
// mkdir -p; an existing directory is no error.
absl::Status EnsureDirectory(absl::string_view path, mode_t mode);
// fsync of a directory, which makes created and renamed names durable.
absl::Status SyncDirectory(absl::string_view path);
// The names in a directory without "." and "..", unsorted.
absl::StatusOr<std::vector<std::string>> ListDirectory(BorrowedFd directory);
// rm -rf of `name` below `directory`, never following a link and never crossing into a mounted
// filesystem. A missing name is no error.
absl::Status RemoveTreeAt(BorrowedFd directory, absl::string_view name);

}  // namespace berth

#endif  // BERTH_BASE_OS_FILE_IO_H_
