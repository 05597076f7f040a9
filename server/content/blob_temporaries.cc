#include "server/content/blob_temporaries.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::content {

absl::StatusOr<std::vector<BlobTemporary>> ListBlobTemporaries(absl::string_view blobs) {
  std::vector<BlobTemporary> found;
  for (const DigestAlgorithm algorithm :
       {DigestAlgorithm::kSha256, DigestAlgorithm::kSha384, DigestAlgorithm::kSha512}) {
    const absl::string_view name = DigestAlgorithmName(algorithm);
    const std::string directory = absl::StrCat(blobs, "/", name);
    BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(directory, O_RDONLY | O_DIRECTORY));
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListDirectory(fd));
    for (const std::string& file : files) {
      if (!absl::EndsWith(file, kTemporarySuffix)) continue;
      auto digest = Digest::Parse(absl::StrCat(name, ":", file.substr(0, file.find('.'))));
      if (digest.ok()) found.push_back({*std::move(digest), absl::StrCat(directory, "/", file)});
    }
  }
  return found;
}

absl::Status RemoveBlobTemporary(const BlobTemporary& temporary) {
  if (::unlink(temporary.path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, "unlink", temporary.path);
}

}  // namespace berth::content
