#include "server/worker/store_directory.h"

#include <fcntl.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"

namespace berth::worker {

absl::StatusOr<UniqueFd> StoreDirectory::OpenBlob(const Digest& digest) const {
  return OpenAt(directory_,
                absl::StrCat("blobs/", DigestAlgorithmName(digest.algorithm()), "/", digest.hex()),
                O_RDONLY | O_NOFOLLOW);
}

absl::StatusOr<UniqueFd> StoreDirectory::OpenUpload(absl::string_view file, int flags) const {
  if (file.empty() || absl::StrContains(file, '/') || file[0] == '.') {
    return absl::InvalidArgumentError(absl::StrCat("\"", file, "\" is no name of an upload"));
  }
  return OpenAt(directory_, absl::StrCat("ingest/", file), flags | O_NOFOLLOW);
}

absl::StatusOr<UniqueFd> StoreDirectory::OpenUpload(absl::string_view file) const {
  return OpenUpload(file, O_WRONLY | O_TRUNC);
}
absl::StatusOr<UniqueFd> StoreDirectory::OpenUploadForReading(absl::string_view file) const {
  return OpenUpload(file, O_RDONLY);
}
absl::StatusOr<UniqueFd> StoreDirectory::OpenUploadForAppending(absl::string_view file) const {
  return OpenUpload(file, O_RDWR);
}

}  // namespace berth::worker
