// The content store as the worker sees it: a directory that it inherited, and names below it.
//
// Immutable, thread-safe. Owned by worker_main.
#ifndef BERTH_SERVER_WORKER_STORE_DIRECTORY_H_
#define BERTH_SERVER_WORKER_STORE_DIRECTORY_H_

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest/digest.h"
#include "base/os/unique_fd.h"

namespace berth::worker {

class StoreDirectory {
 public:
  explicit StoreDirectory(UniqueFd directory) : directory_(std::move(directory)) {}
  // For reading. Errors: NOT_FOUND.
  absl::StatusOr<UniqueFd> OpenBlob(const Digest& digest) const;
  // An existing upload, emptied, for writing. Errors: NOT_FOUND; INVALID_ARGUMENT for a path.
  absl::StatusOr<UniqueFd> OpenUpload(absl::string_view file) const;
  // The same as it is, for reading, or for appending to what it holds.
  absl::StatusOr<UniqueFd> OpenUploadForReading(absl::string_view file) const;
  absl::StatusOr<UniqueFd> OpenUploadForAppending(absl::string_view file) const;
  BorrowedFd fd() const { return directory_; }

 private:
  absl::StatusOr<UniqueFd> OpenUpload(absl::string_view file, int flags) const;
  const UniqueFd directory_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_STORE_DIRECTORY_H_
